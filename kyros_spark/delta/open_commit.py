"""Open a commit of files on a table, where this process can write the table's files."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import SparkSession

from kyros_spark.delta import checks
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.file_commit import FileCommit
from kyros_spark.tables.contract import Column


def begin(
    spark: SparkSession, location: str, name: str, new: Iterable[Column]
) -> FileCommit | None:
    """Open a commit on the table in a folder; None where this process cannot write its files.

    That takes open-source Delta in a JVM that this process reaches, and a plain table.
    new: columns that the commit adds to the table.
    """
    if not delta_log.is_reachable(spark):
        return None
    transaction = delta_log.transaction(spark, location)
    if int(transaction.readVersion()) < 0:
        return None
    layout = delta_log.layout_of(transaction)
    added = [delta_log.column(spark, column) for column in new]
    layout = layout.with_columns(added) if added else layout
    if not layout.is_plain():
        return None
    rules = checks.compiled(layout.constraints(), layout.schema())
    if rules is None:
        return None
    if added:
        metadata = delta_log.action(spark, "metaData", layout.metadata)
        transaction.updateMetadata(metadata, False)
    folder = delta_log.folder(spark, location)
    return FileCommit(spark, name, transaction, folder, layout, rules, changes_columns=bool(added))
