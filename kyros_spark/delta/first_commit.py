"""Clean up after a process that was killed during a table's first commit."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from kyros_spark.storage.files import files_below, folder_exists, remove_file, remove_if_empty

_FIRST_COMMIT = 3  # s, after which a first commit that has begun should be complete


def remove_log_without_commit(spark: SparkSession, address: str) -> None:
    """Remove a table's ``_delta_log`` if the table's folder holds only an unfinished first commit.

    A process killed during the first commit leaves such a folder, and Delta then creates no table
    there. If another run commits meanwhile, nothing of its commit is removed.
    """
    log = f"{address}/_delta_log"
    if _unfinished(spark, address) is None or not folder_exists(spark, log):
        return
    time.sleep(_FIRST_COMMIT)  # another run may be in the middle of its first commit
    for file in _unfinished(spark, address) or ():
        remove_file(spark, file)
    for folder in (f"{log}/_staged_commits", log):
        remove_if_empty(spark, folder)


def _unfinished(spark: SparkSession, address: str) -> list[str] | None:
    """Return the log's hidden files, perhaps none; None if the folder holds any other file."""
    hidden = []
    try:
        for folder, name, file in files_below(spark, address):
            if folder != "_delta_log" or not name.startswith("."):
                return None
            hidden.append(file)
    except Exception:  # missing, or not listable by this user: Delta then reports what is wrong
        return None
    return hidden
