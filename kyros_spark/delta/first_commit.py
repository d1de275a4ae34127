"""Clean up where a process was killed in a table's first commit."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from kyros_spark.storage.files import files_below, remove_file, remove_if_empty

_FIRST_COMMIT = 3  # s, in which a first commit that was begun should be there


def remove_log_without_commit(spark: SparkSession, address: str) -> None:
    """Remove a table's folder ``_delta_log`` where the table's folder holds no more than its begin.

    A process killed in a table's first commit leaves it so, and Delta then makes no table there.
    Where another run's commit comes meanwhile, nothing of it is removed.
    """
    if not _begun(spark, address):
        return
    time.sleep(_FIRST_COMMIT)  # another first run may be at it
    for file in _begun(spark, address):
        remove_file(spark, file)
    log = f"{address}/_delta_log"
    for folder in (f"{log}/_staged_commits", log):
        remove_if_empty(spark, folder)


def _begun(spark: SparkSession, address: str) -> list[str]:
    """Return the hidden files of a log, if the table's folder holds no other ones."""
    found = []
    try:
        for folder, name, file in files_below(spark, address):
            if folder != "_delta_log" or not name.startswith("."):
                return []
            found.append(file)
    except Exception:  # it may not be listed, or not by us: Delta then tells what is wrong
        return []
    return found
