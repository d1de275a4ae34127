"""Divide a batch of a table into slices of whole files, the same ones on every run."""

from __future__ import annotations

from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.delta.tables import DeltaTables

_NOT_PLAIN = ("deletionVectors", "columnMapping")  # a file then holds what the table does not
_GLOB = frozenset("*?[]{}\\")


def slices(tables: DeltaTables, name: str, version: int, batch: str, rows: int) -> list[DataFrame]:
    """Return a batch at one version in slices of about ``rows`` rows, each read file by file.

    A file is never divided, so that a slice may have more rows than that. One slice is returned, of
    the table itself, where files cannot be read alone: a table in a catalog, or one whose files
    hold rows that were deleted since.
    """
    whole = tables.read(name, version, [batch])
    if not tables.by_path or _GLOB & set(tables.location(name)):
        return [whole]
    detail = tables.spark.sql(f"DESCRIBE DETAIL {tables.reference(name)}").first()
    if detail is None or set(_NOT_PLAIN) & set(detail["tableFeatures"] or ()):
        return [whole]
    counted = whole.groupBy(F.col("_metadata.file_path").alias("path")).count().collect()
    groups = _groups(sorted((row["path"], row["count"]) for row in counted), rows)
    if len(groups) < 2:
        return [whole]
    schema = whole.drop("batch_id").schema
    read = tables.spark.read.schema(schema)
    # The batch is told by the files' folder, not in them.
    return [
        read.parquet(*map(unquote, paths)).withColumn("batch_id", F.lit(batch)) for paths in groups
    ]


def _groups(files: list[tuple[str, int]], rows: int) -> list[list[str]]:
    groups: list[list[str]] = []
    room = 0
    for path, count in files:
        if not groups or count > room:
            groups.append([])
            room = rows
        groups[-1].append(path)
        room -= count
    return groups
