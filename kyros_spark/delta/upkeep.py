"""Keep Delta tables in good order: compact small files and remove unreferenced ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.delta.staging import RESUMABLE_FOR
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.spark.session import setting, task_slots
from kyros_spark.storage.files import folders_older_than, remove_folder

_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_TASKS_PER_SLOT = 2


def compact(tables: DeltaTables, name: str, run_id: str) -> int:
    """Merge a table's small files in one commit; return how many files that replaced."""
    with tables.stamped(run_id):
        row = tables.spark.sql(f"OPTIMIZE {tables.reference(name)}").first()
    return int(row["metrics"]["numFilesRemoved"]) if row is not None else 0


def vacuum(tables: DeltaTables, name: str, days: int) -> int:
    """Remove files that no version of the last ``days`` days refers to; return how many."""
    words = f"VACUUM {tables.reference(name)} RETAIN {days * 24} HOURS"
    with _few_listing_tasks(tables.spark):
        count = tables.spark.sql(f"{words} DRY RUN").count()
        if count:
            tables.spark.sql(words)
    return count


@contextmanager
def _few_listing_tasks(spark: SparkSession) -> Iterator[None]:
    """Let VACUUM list a table's folders with two tasks per slot, instead of 10,000 tasks.

    A folder is a batch, of which there are few; a table of no rows took as long as a large one.
    """
    tasks = _TASKS_PER_SLOT * task_slots(spark)
    with ExitStack() as settings:
        with suppress(PySparkException):  # a platform that refuses lists in its own way
            settings.enter_context(setting(spark, _LISTING, str(tasks)))
        yield


def remove_leftovers(tables: DeltaTables, name: str, older_than: timedelta = RESUMABLE_FOR) -> int:
    """Remove the logs of micro-batches too old to be resumed; return how many logs.

    The files that such a log lists then belong to the table or to nobody; `vacuum` removes the
    latter.
    """
    if not tables.by_path:
        return 0
    logs = folders_older_than(
        tables.spark, tables.location(name), "staged-", "_delta_log", older_than
    )
    for address in logs:
        remove_folder(tables.spark, address)
    return len(logs)
