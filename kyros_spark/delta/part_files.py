"""Write a table's data files in tasks, of which the driver commits the add actions.

The driver describes the files (`NewFiles`), a task writes them. Until the commit no reader sees
them, and what a task that died has left is for VACUUM. This module needs no JVM.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kyros_spark.delta import checks
from kyros_spark.delta.statistics import FileStatistics
from kyros_spark.storage.stores import Store


@dataclass(frozen=True)
class Partition:
    """One partition's values by column, and its folder: as a path, and as the log writes it."""

    values: Mapping[str, str]
    folder: str
    uri: str


@dataclass(frozen=True)
class NewFiles:
    """What a task must know to write files of a plain table on a file system that it opens.

    folder       the table's, as the store has it
    schema       the columns of the files, without those of the partitions
    indexed      the columns of which the log keeps bounds
    repeated     the columns of few different values, which are written as codes
    constraints  CHECK constraints by name, as SQL; required: the columns that must not be NULL
    token        a part of the files' names, by which they are found again
    """

    table: str
    store: Store
    folder: str
    schema: pa.Schema
    partitions: tuple[Partition, ...]
    indexed: tuple[str, ...]
    repeated: tuple[str, ...]
    constraints: Mapping[str, str]
    required: tuple[str, ...]
    token: str

    def remove(self) -> None:
        """Remove the files that tasks have written so far, as far as that is possible."""
        for partition in self.partitions:
            with suppress(OSError):
                for path in self.store.files_in(self.inside(partition)):
                    if f"-{self.token}-" in path.rpartition("/")[2]:
                        self.store.remove(path)

    def inside(self, partition: Partition) -> str:
        """Return a partition's folder, as the store has it."""
        return f"{self.folder}/{partition.folder}" if partition.folder else self.folder


class PartFile:
    """A data file that grows by batches of rows; it is made at the first of them."""

    def __init__(
        self, files: NewFiles, partition: Partition, task: int, rows_per_row_group: int
    ) -> None:
        """Take the number of the task and the most rows per row group."""
        self._files, self._partition, self._most = files, partition, rows_per_row_group
        name = f"part-{task:05d}-{files.token}-{uuid.uuid4().hex[:8]}.c000.snappy.parquet"
        self._uri = f"{partition.uri}/{name}" if partition.uri else name
        self._path = f"{files.inside(partition)}/{name}"
        self._rules = checks.compiled(files.constraints, files.schema)
        self._statistics = FileStatistics(files.indexed)
        self._writer: pq.ParquetWriter | None = None
        self._out: pa.NativeFile | None = None

    def write(self, rows: pa.RecordBatch) -> None:
        """Append rows, checked against the table's constraints.

        Raises:
            TableConstraintError: a row breaks one.
            OSError: the file system does not take them.
        """
        files = self._files
        assert self._rules is not None, "the driver has compiled the same constraints"
        checks.check(files.table, rows, self._rules, files.constraints, files.required)
        if self._writer is None:
            self._out = files.store.writer(self._path)
            self._writer = pq.ParquetWriter(
                self._out, files.schema, compression="snappy", store_schema=False,
                use_dictionary=list(files.repeated),
            )  # fmt: skip
        self._writer.write_batch(rows, row_group_size=self._most)
        self._statistics.add(rows)

    def end(self) -> dict[str, Any] | None:
        """Complete the file, and return its add action; None where it has no rows."""
        if self._writer is None or self._out is None:
            return None
        self._writer.close()
        size = self._out.tell()
        self._out.close()
        return {
            "path": self._uri,
            "partitionValues": dict(self._partition.values),
            "size": size,
            "modificationTime": int(time.time() * 1000),
            "dataChange": True,
            "stats": json.dumps(self._statistics.to_json()),
        }

    def abandon(self) -> None:
        """Remove the file."""
        if self._writer is not None and self._out is not None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()
            with suppress(OSError, pa.ArrowException):
                self._out.close()
            self._files.store.remove(self._path)
