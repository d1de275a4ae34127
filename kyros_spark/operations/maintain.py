"""maintain: gather small files, remove files that nobody needs any more."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.upkeep import compact, remove_leftovers, vacuum
from kyros_spark.log import event
from kyros_spark.runs.micro_batches import GATHERING
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import new_run_id

# Small tables that grow by a few rows a run, and of which no run reads an earlier version. Of the
# others a stage reads the version that the stage before it wrote: they are left as written.
_GATHERED = ("runs", "rejects", "profiles", "relativities", "models")
_TABLES = (*_GATHERED, "policies", "claims", "prepared", "feature_log", "predictions",
           "evaluation_metrics", "evaluation_factors", "evaluation_lift")  # fmt: skip


def maintain(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Compact the small tables, and remove files older than tables.keep_days that no table names.

    Time travel and running readers go back so many days; a run that was killed goes on from
    micro-batches of at most six.

    Returns files gathered and removed, by table.
    """
    portfolio = Portfolio(spark, config)
    told: dict[str, Any] = {"stage": "maintain", "status": "done", "run_id": new_run_id()}
    gathered, removed = {}, {}
    try:
        for name in _TABLES:
            if portfolio.tables.version(name) is None:
                continue
            event(f"maintain: {name}")
            portfolio.tables.hold(told["run_id"])
            if name in _GATHERED:
                gathered[name] = compact(portfolio.tables, name, told["run_id"])
            removed[name] = vacuum(portfolio.tables, name, config.tables.keep_days)
    finally:
        portfolio.tables.release()
    told["gathered"], told["kept_days"] = gathered, config.tables.keep_days
    told["removed"] = {name: count for name, count in removed.items() if count}
    told["staged_removed"] = sum(
        remove_leftovers(portfolio.tables, name) for name in GATHERING.values()
    )
    return told
