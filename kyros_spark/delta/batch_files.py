"""Read a batch that one commit wrote from the files that the commit names, without Delta's queries.

Opening a Delta table takes three queries of its own before the first row is read, however few the
rows. A step that reads what an earlier run wrote knows the commit, and the commit names the files.
Where anything about it is not plain, the table is read through Delta.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from kyros_spark.delta import log as delta_log
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import hadoop

_MOST_FILES = 32  # Spark lists more than these in a job of its own
_GLOB = frozenset("*?[]{}\\")


@dataclass(frozen=True)
class WrittenBatch:
    """A batch of a table as a run wrote it: the version that its commit made, and the rows."""

    table: str
    version: int
    batch: str
    run_id: str
    rows: int


def read_batch(tables: DeltaTables, written: WrittenBatch) -> DataFrame:
    """Return the rows of a batch as they were at the version.

    Raises:
        BatchMissingError: the table, or that version of it, does not exist.
    """
    with suppress(Exception):  # whatever is not as expected, Delta knows it, or names it
        files = batch_files(tables, written)
        if 0 < len(files) <= _MOST_FILES:
            return _read(tables, written, files)
    return tables.read(written.table, written.version, [written.batch])


def batch_files(tables: DeltaTables, written: WrittenBatch) -> list[str]:
    """Return the addresses of a batch's files if they hold its rows and no others, else nothing."""
    location = tables.location(written.table)
    if not tables.by_path or _GLOB & set(location) or not delta_log.is_reachable(tables.spark):
        return []
    actions = list(_actions(tables, f"{location}/_delta_log/{written.version:020d}.json"))
    runs = [
        action["commitInfo"].get("userMetadata") for action in actions if "commitInfo" in action
    ]
    adds = [action["add"] for action in actions if "add" in action]
    adds = [add for add in adds if add["partitionValues"].get("batch_id") == written.batch]
    rows = sum(json.loads(add["stats"])["numRecords"] for add in adds)
    # Other files of the batch could only be there if the commit had not replaced it whole.
    if runs != [written.run_id] or rows != written.rows or any("deletionVector" in a for a in adds):
        return []
    return [f"{location}/{unquote(add['path'])}" for add in adds]


def _read(tables: DeltaTables, written: WrittenBatch, files: list[str]) -> DataFrame:
    location = tables.location(written.table)
    schema, properties = delta_log.schema_and_properties(tables.spark, location)
    if properties.get("delta.columnMapping.mode", "none") != "none":
        raise ValueError("the files name their columns differently")
    columns = StructType.fromJson(json.loads(schema))
    in_files = StructType([field for field in columns if field.name != "batch_id"])
    rows = tables.spark.read.schema(in_files).parquet(*files)
    # The batch is in the name of the files' folder, not in the files.
    return rows.withColumn("batch_id", F.lit(written.batch)).select(*columns.names)


def _actions(tables: DeltaTables, address: str) -> Iterator[dict[str, Any]]:
    """Yield the actions of a commit."""
    path, system = hadoop(tables.spark, address)
    stream = system.open(path)
    try:
        lines = bytes(stream.readAllBytes()).splitlines()
    finally:
        stream.close()
    yield from map(json.loads, lines)
