"""Keep Delta tables in good order: gather small files, remove those that no table names."""

from __future__ import annotations

from datetime import timedelta

from kyros_spark.delta.staging import KEPT
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import folders_older_than, remove_folder


def compact(tables: DeltaTables, name: str, run_id: str) -> int:
    """Put a table's small files together, in one commit; return how many there were."""
    with tables.stamped(run_id):
        row = tables.spark.sql(f"OPTIMIZE {tables.reference(name)}").first()
    return int(row["metrics"]["numFilesRemoved"]) if row is not None else 0


def vacuum(tables: DeltaTables, name: str, days: int) -> int:
    """Remove files that no version of the last ``days`` days names; return how many."""
    words = f"VACUUM {tables.reference(name)} RETAIN {days * 24} HOURS"
    count = tables.spark.sql(f"{words} DRY RUN").count()
    if count:
        tables.spark.sql(words)
    return count


def remove_leftovers(tables: DeltaTables, name: str, older_than: timedelta = KEPT) -> int:
    """Remove the logs of micro-batches that nobody will go on from; return how many.

    Their files are then the table's, or nobody's: `vacuum` takes those.
    """
    if not tables.by_path:
        return 0
    pattern = f"{tables.location(name)}/staged-*/_delta_log"
    found = folders_older_than(tables.spark, pattern, older_than)
    for address in found:
        remove_folder(tables.spark, address)
    return len(found)
