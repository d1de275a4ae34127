"""Read a batch of a plain table from its files, which the log names, without Delta's queries.

Opening a Delta table takes three queries of its own before the first row is read, however few the
rows. Where anything about the table is not plain, it is read through Delta.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from kyros_spark.config import is_remote
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import local_path
from kyros_spark.storage.traffic import count_read

_MOST_FILES = 32  # Spark lists more than these in a job of its own
_GLOB = frozenset("*?[]{}\\")


@dataclass(frozen=True)
class _BatchFiles:
    """The files of a batch, and the columns of its table."""

    addresses: list[str]
    columns: StructType


def read_batch(tables: DeltaTables, name: str, version: int, batch: str) -> DataFrame:
    """Return the rows of a batch as they were at a version of the table.

    Raises:
        BatchMissingError: the table, or that version of it, does not exist.
    """
    files = _files(tables, name, version, batch)
    if files is None or len(files.addresses) > _MOST_FILES or any(map(_is_glob, files.addresses)):
        return tables.read(name, version, [batch])
    in_files = StructType([field for field in files.columns if field.name != "batch_id"])
    try:
        rows = tables.spark.read.schema(in_files).parquet(*files.addresses)
    except PySparkException:  # a file is gone: Delta's reader names it
        return tables.read(name, version, [batch])
    # The batch is in the name of the files' folder, not in the files.
    return rows.withColumn("batch_id", F.lit(batch)).select(*files.columns.names)


def batch_rows(
    tables: DeltaTables, name: str, version: int, batch: str, columns: list[str]
) -> pa.Table | None:
    """Return columns of a batch as Arrow, or None where only Spark can read its files."""
    files = _files(tables, name, version, batch)
    if files is None or any(map(is_remote, files.addresses)):
        return None
    with suppress(OSError, KeyError, pa.ArrowException):  # Spark names a file that is damaged
        return pa.concat_tables([_rows(address, columns) for address in files.addresses])
    return None


def _rows(address: str, columns: list[str]) -> pa.Table:
    file = pq.ParquetFile(local_path(address), coerce_int96_timestamp_unit="us")
    rows = file.read(columns).select(columns)
    count_read(rows.nbytes)
    return rows


def _files(tables: DeltaTables, name: str, version: int, batch: str) -> _BatchFiles | None:
    """Return the files of a batch, or None where the log does not tell them."""
    layout = tables.layout(name)
    if layout is None or not layout.is_plain() or layout.partition_by != ["batch_id"]:
        return None
    with suppress(Exception):  # whatever is wrong with the log, Delta names it
        folder = tables.folder(name)
        adds = active_files(tables.spark, folder, version) or []
        paths = [a["path"] for a in adds if a["partitionValues"].get("batch_id") == batch]
        if paths and not any(":/" in path for path in paths):
            return _BatchFiles([f"{folder}/{unquote(p)}" for p in paths], layout.spark_schema())
    return None


def _is_glob(address: str) -> bool:
    return bool(_GLOB & set(address))
