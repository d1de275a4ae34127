"""maintain: compact small files, and remove files that nobody needs any more."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.upkeep import compact, remove_leftovers, vacuum
from kyros_spark.log import event
from kyros_spark.runs.micro_batches import STAGED_TABLES
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import new_run_id
from kyros_spark.tables.all import TABLE_NAMES

# Small tables that grow by a few rows per run, and of which no run reads an earlier version. Of the
# other tables a stage reads the version that the stage before it wrote: they are left as written.
_COMPACTED = ("runs", "rejects", "repairs", "profiles", "relativities", "models")


def maintain(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Compact the small tables, and remove files older than tables.keep_days that no table names.

    Time travel and running readers reach back that many days; a run that was killed goes on from
    micro-batches of at most six days.

    Returns the numbers of files compacted and removed, by table.
    """
    portfolio, run_id = Portfolio(spark, config), new_run_id()
    compacted: dict[str, int] = {}
    removed: dict[str, int] = {}
    try:
        for name in TABLE_NAMES:
            if portfolio.tables.version(name) is None:
                continue
            event(f"maintain: {name}")
            portfolio.tables.hold(run_id)
            if name in _COMPACTED:
                compacted[name] = compact(portfolio.tables, name, run_id)
            removed[name] = vacuum(portfolio.tables, name, config.tables.keep_days)
    finally:
        portfolio.tables.release()
    staged = [remove_leftovers(portfolio.tables, name) for name in STAGED_TABLES.values()]
    return {
        "stage": "maintain",
        "status": "done",
        "run_id": run_id,
        "gathered": compacted,
        "kept_days": config.tables.keep_days,
        "removed": {name: count for name, count in removed.items() if count},
        "staged_removed": sum(staged),
    }
