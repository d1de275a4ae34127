"""evaluate: stored predictions of a batch -> metrics, factors, lift, and a report of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark.config import Config, EvaluateSettings
from kyros_spark.errors import ConfigError
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.report.page import check_report
from kyros_spark.evaluation.results import PARTS, EvaluationContext
from kyros_spark.evaluation.rows import WHOLE, with_predictions
from kyros_spark.evaluation.sample import stratified, whole
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
    start,
)
from kyros_spark.runs.run import Run
from kyros_spark.spark.persisted import persisted
from kyros_spark.stages.evaluate.metrics import by_factor, factor_names, metrics_and_lift
from kyros_spark.stages.evaluate.report import other_seconds, tell_share, write_report
from kyros_spark.stages.evaluate.stored_predictions import StoredPredictions, find_stored
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import batch_is, text
from kyros_spark.tables.evaluation_factors import EVALUATION_FACTORS
from kyros_spark.tables.evaluation_lift import EVALUATION_LIFT
from kyros_spark.tables.evaluation_metrics import EVALUATION_METRICS
from kyros_spark.tables.prepared import targets

TABLES = (EVALUATION_METRICS, EVALUATION_FACTORS, EVALUATION_LIFT)


def evaluate(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    models: Sequence[str] = (),
    tier: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Judge the stored predictions of one batch; nothing is predicted again.

    models: NAME, or NAME@VERSION that the batch was predicted with; default all of the batch.
    tier: full (every row) or fast (a sample, core metrics); default the settings'.

    Raises:
        BatchMissingError: the batch has no predictions, or none of its latest preparation.
        UnknownModelError: a model has not predicted the batch.
        PredictionValueError: a prediction or target is not a number to judge by.
    """
    portfolio = portfolio or Portfolio(spark, config)
    run = start("evaluate", batch, config, run_id)
    chosen = config.evaluate.model_copy(update={"tier": tier or config.evaluate.tier})
    _check_settings(config, chosen)
    found: list[tuple[StoredPredictions, list[EvaluatedModel], list[Pair]]] = []

    def inputs() -> dict[str, str]:
        found.append(find_stored(portfolio, run, models))
        references = {
            f"reference {b}": done.run_id
            for b in _reference_batches(found[0][1])
            if (done := portfolio.ledger.last_done("predict", b)) is not None
        }
        return {**found[0][0].inputs(), **references, "asked": ", ".join(models)}

    settings = chosen.model_dump(mode="json")
    return execute(
        portfolio, run, inputs, settings, lambda run: _work(portfolio, run, chosen, *found[0])
    )


def _check_settings(config: Config, chosen: EvaluateSettings) -> None:
    unknown = sorted(set(chosen.factors or ()) - set(config.prepare.features))
    if unknown:
        raise ConfigError(
            f"evaluate.factors: expected features of prepare.features "
            f"({', '.join(config.prepare.features)}), found {', '.join(unknown)}"
        )
    if chosen.report:
        check_report()


def _reference_batches(subjects: Iterable[EvaluatedModel]) -> list[str]:
    return sorted({one.trained_on[0] for one in subjects if one.trained_on})


def _work(
    portfolio: Portfolio,
    run: Run,
    chosen: EvaluateSettings,
    stored: StoredPredictions,
    subjects: list[EvaluatedModel],
    pairs: list[Pair],
) -> None:
    with ExitStack() as kept:
        with run.phase("join"):
            wide = kept.enter_context(persisted(_joined(portfolio, run, chosen, stored)))
            base = BatchTotals(wide, stored.subjects)
            base.check(run.batch, stored.subjects)
        run.rows_in = base.rows
        known = {one.number: base.labelled(one) for one in stored.subjects}
        subjects = [known[one.number] for one in subjects]
        pairs = [replace(p, new=known[p.new.number], old=known[p.old.number]) for p in pairs]
        parts = tuple(part for part in PARTS if part in base.parts or part == WHOLE)
        now = datetime.now(UTC)
        judging = EvaluationContext(
            run.batch, run.run_id, chosen.tier, ConfidenceInterval(chosen.confidence), now, parts
        )
        metrics, lift = metrics_and_lift(
            portfolio, run, chosen, wide, base, judging, subjects, pairs
        )
        factors: list[dict[str, Any]] = []
        if chosen.tier == "full":
            with run.phase("factors"):
                factors, moves = by_factor(portfolio, chosen, wide, base, judging, subjects, pairs)
                lift += moves
    with run.phase("write"):
        _write(
            portfolio, run, [one.name for one in subjects], chosen.tier, (metrics, factors, lift)
        )
    run.rows_out = sum(written.rows for written in run.outputs.values())
    run.details = {"tier": chosen.tier, "models": {o.name: o.version for o in subjects}}
    with run.phase("report"):
        others = other_seconds(portfolio, run, subjects)
        tell_share(run, others)
        if chosen.report:
            write_report(portfolio, run, chosen, subjects, (metrics, factors, lift))
    tell_share(run, others)


def _joined(
    portfolio: Portfolio, run: Run, chosen: EvaluateSettings, stored: StoredPredictions
) -> DataFrame:
    """Return a row a policy: targets, factors, and the prediction of each model."""
    config, key = portfolio.config, portfolio.config.sources.policies.key
    known = [target.name for target in targets(config.prepare)]
    prepared = portfolio.tables.read("prepared", stored.prepared.outputs["prepared"], [run.batch])
    factors = list(factor_names(config, chosen)) if chosen.tier == "full" else []
    rows = prepared.select(*key, "exposure", "split", *known, *factors)
    fast = chosen.tier == "fast"
    rows = stratified(rows, key, known, chosen.sample_rows) if fast else whole(rows)
    return with_predictions(rows, [(one, stored.rows(one)) for one in stored.subjects], key)


def _write(
    portfolio: Portfolio,
    run: Run,
    names: Sequence[str],
    tier: str,
    told: tuple[list[dict[str, Any]], ...],
) -> None:
    """Replace the rows of these models, batch and tier in each table, in one commit a table."""
    portfolio.tables.check(*TABLES)
    models = ", ".join(text(name) for name in names)
    where = f"{batch_is(run.batch)} AND tier = {text(tier)} AND model_name IN ({models})"
    for table, rows in zip(TABLES, told, strict=True):
        frame = _frame(portfolio.spark, table, rows)
        run.outputs[table.name] = portfolio.tables.replace(table, frame, run.run_id, where)


def _frame(spark: SparkSession, table: Table, rows: Sequence[dict[str, Any]]) -> DataFrame:
    schema = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
    told = [tuple(row.get(name) for name in table.names) for row in rows]
    return spark.createDataFrame(told, schema).coalesce(1)
