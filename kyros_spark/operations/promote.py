"""promote: a registered version becomes champion, if it meets what was declared of it."""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import UsageError
from kyros_spark.registry import Registry
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run, new_run_id
from kyros_spark.tables.models import MODELS

_VERSION = re.compile(r"^(?P<name>[A-Za-z_]\w*)@(\d+)\Z")


def promote(
    spark: SparkSession,
    config: Config,
    model: str,
    reason: str = "",
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Make NAME@VERSION the champion of its name; the one before is retired in the same commit.

    It is judged by the thresholds and budgets stored with it, as they were declared before its
    training. The run is skipped where it is champion already.

    Raises:
        UsageError: ``model`` is no NAME@VERSION.
        UnknownModelError: there is no such version.
        GateError: it misses a threshold or a budget; nothing changes.
    """
    parts = _VERSION.match(model)
    if parts is None:
        raise UsageError(f"promote {model}: expected NAME@VERSION, for example frequency@2")
    portfolio = portfolio or Portfolio(spark, config)
    registry = Registry(portfolio.tables, config.tables.artefact_folder())

    def work(run: Run) -> None:
        with run.phase("promote"):
            done = registry.promote(model, reason, run.run_id)
        run.details = {
            "model": done.entry.reference,
            "before": done.before.reference if done.before is not None else None,
            "reason": reason,
        }
        if done.written is None:
            run.status = "skipped"
            return
        run.outputs["models"] = done.written
        run.rows_out = 1

    def inputs() -> dict[str, str]:
        # What was done once is done again after another took its place: the table's version tells.
        return {"model": model, "models": str(portfolio.tables.version(MODELS.name))}

    run = Run("promote", parts["name"], run_id or new_run_id())
    return execute(portfolio, run, inputs, {"reason": reason}, work)
