"""promote: make a registered version champion, if it meets the quality declared for it."""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import UsageError
from kyros_spark.registry import Registry
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.tables.models import MODELS

_VERSION = re.compile(r"^(?P<name>[A-Za-z_]\w*)@(\d+)\Z")


def promote(
    spark: SparkSession, config: Config, model: str, reason: str = "", run_id: str | None = None
) -> Run:
    """Make NAME@VERSION the champion of its name, and retire the one before in the same commit.

    The gate applies the thresholds and budgets stored with the version, as they were declared
    before its training. The run is skipped if the version is champion already.

    Raises:
        UsageError: ``model`` does not have the form NAME@VERSION.
        UnknownModelError: there is no such version.
        GateError: the version misses a threshold or a budget; nothing changes.
    """
    parts = _VERSION.match(model)
    if parts is None:
        raise UsageError(f"promote {model}: expected NAME@VERSION, for example frequency@2")
    portfolio = Portfolio(spark, config)

    def inputs() -> Inputs[str]:
        # The table's version makes the same promotion possible again once another version reigns.
        models_version = portfolio.tables.version(MODELS.name)
        return Inputs({"model": model, "models": str(models_version)}, model)

    def do(run: Run, reference: str) -> None:
        _promote(portfolio.registry, reference, reason, run)

    work = Work(portfolio, "promote", parts["name"], inputs, {"reason": reason}, do)
    return execute(work, run_id)


def _promote(registry: Registry, reference: str, reason: str, run: Run) -> None:
    with run.phase("promote"):
        promoted = registry.promote(reference, reason, run.run_id)
    run.details = {
        "model": promoted.entry.reference,
        "before": promoted.before.reference if promoted.before is not None else None,
        "reason": reason,
    }
    if promoted.written is None:
        run.status = "skipped"
        return
    run.outputs["models"] = promoted.written
    run.rows_out = 1
