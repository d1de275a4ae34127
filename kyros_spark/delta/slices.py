"""Divide a batch of a table into slices of whole files, the same slices on every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.delta.tables import DeltaTables

_NOT_PLAIN = {"deletionVectors", "columnMapping"}  # a file's content then differs from the table's
_GLOB = frozenset("*?[]{}\\")
File = TypeVar("File")


def slices(tables: DeltaTables, name: str, version: int, batch: str, rows: int) -> list[DataFrame]:
    """Return a batch at one version in slices of about ``rows`` rows, each read file by file.

    A file is never divided, so a slice may have more rows. The whole batch is returned as one slice
    where its files cannot be read alone: in a catalog, or where files hold rows that were deleted
    since or name their columns differently.
    """
    whole = tables.read(name, version, [batch])
    if not tables.by_path or _GLOB & set(tables.location(name)):
        return [whole]
    if _NOT_PLAIN & tables.features(name):
        return [whole]
    counts = whole.groupBy(F.col("_metadata.file_path").alias("path")).count().collect()
    groups = grouped(sorted((row["path"], row["count"]) for row in counts), rows)
    if len(groups) < 2:
        return [whole]
    schema = whole.drop("batch_id").schema
    reader = tables.spark.read.schema(schema)
    # The batch is in the name of the files' folder, not in the files.
    return [
        reader.parquet(*map(unquote, paths)).withColumn("batch_id", F.lit(batch))
        for paths in groups
    ]


def grouped(files: Sequence[tuple[File, int]], rows: int) -> list[list[File]]:
    """Group files, given with their row counts, in their order into groups of about ``rows`` rows.

    A file is never divided.
    """
    groups: list[list[File]] = []
    room = 0
    for file, count in files:
        if not groups or count > room:
            groups.append([])
            room = rows
        groups[-1].append(file)
        room -= count
    return groups
