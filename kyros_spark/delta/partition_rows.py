"""Read columns of partitions of a plain table from its files, texts as codes, without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from kyros_spark.config import is_remote
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import local_path
from kyros_spark.storage.traffic import count_read


@dataclass(frozen=True)
class PlainTable:
    """The files of one version of a plain table on this machine. files: as the log adds them."""

    folder: str
    layout: TableLayout
    files: Sequence[Mapping[str, Any]]

    def rows(self, partition: Mapping[str, str], columns: Sequence[str]) -> pa.Table | None:
        """Return columns of the rows of a partition as Arrow, or None where only Spark can.

        partition: values of columns that the table is partitioned by.
        columns: others than those.
        """
        schema = self.layout.schema()
        texts = [n for n in columns if pa.types.is_string(schema.field(n).type)]
        chosen = [
            f"{self.folder}/{unquote(file['path'])}"
            for file in self.files
            if all(file["partitionValues"].get(c) == value for c, value in partition.items())
        ]
        # Spark names a file that is damaged.
        with suppress(OSError, KeyError, ValueError, pa.ArrowException):
            parts = [_rows(address, list(columns), texts) for address in chosen]
            return pa.concat_tables(parts).unify_dictionaries() if parts else None
        return None


def plain_table(tables: DeltaTables, name: str, version: int) -> PlainTable | None:
    """Return the files of a version of a table; None where only Spark can read them."""
    layout = tables.layout(name)
    if layout is None or not layout.is_plain():
        return None
    with suppress(Exception):  # whatever is wrong with the log, Delta names it
        folder = delta_log.folder(tables.spark, tables.location(name))
        files = active_files(tables.spark, folder, version)
        # ":/" is in the path of a file of another table, as a shallow clone has it.
        if files is not None and not any(":/" in file["path"] for file in files):
            return None if is_remote(folder) else PlainTable(folder, layout, files)
    return None


def _rows(address: str, columns: list[str], texts: list[str]) -> pa.Table:
    path = local_path(address)
    file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", read_dictionary=texts)
    rows = file.read(columns).select(columns)
    count_read(rows.nbytes)
    return rows
