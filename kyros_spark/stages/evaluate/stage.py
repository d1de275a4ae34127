"""evaluate: stored predictions of a batch -> metrics, factors, lift, and a report of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config, EvaluateSettings
from kyros_spark.delta.where import where as among
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.report.page import check_report
from kyros_spark.evaluation.results import PARTS, EvaluationContext
from kyros_spark.evaluation.rows import WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.stages.evaluate.judgeable import account_details, judgeable, without_bins
from kyros_spark.stages.evaluate.judged_input import BatchReader, JudgedInput
from kyros_spark.stages.evaluate.metrics import (
    JudgedBatch,
    factor_names,
    factors_and_moves,
    metrics_and_lift,
)
from kyros_spark.stages.evaluate.report import other_seconds, record_share, write_report
from kyros_spark.stages.evaluate.stored_predictions import Selection, select_models
from kyros_spark.stages.evaluate.thresholds import hold_to_thresholds, refuse
from kyros_spark.tables.evaluation_factors import EVALUATION_FACTORS
from kyros_spark.tables.evaluation_lift import EVALUATION_LIFT
from kyros_spark.tables.evaluation_metrics import EVALUATION_METRICS
from kyros_spark.tables.evaluation_two_way import EVALUATION_TWO_WAY

TABLES = (EVALUATION_METRICS, EVALUATION_FACTORS, EVALUATION_LIFT, EVALUATION_TWO_WAY)


def evaluate(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    models: Sequence[str] = (),
    tier: str | None = None,
) -> Run:
    """Judge the stored predictions of one batch; nothing is predicted again.

    models: NAME, or NAME@VERSION that the batch was predicted with; default all of the batch.
    tier: full (every row) or fast (a sample, core metrics); default the settings'.

    Raises:
        BatchMissingError: the batch has no predictions, or none of its latest preparation.
        UnknownModelError: a model has not predicted the batch.
        PredictionValueError: no model has predictions and targets that are numbers to judge by, or
            more rows are left out than the settings allow.
        ThresholdError: a model is outside evaluate.thresholds and evaluate.fail_on_threshold is
            set; everything is written.
    """
    return execute(evaluate_work(Portfolio(spark, config), batch, models, tier), run_id)


def evaluate_work(
    portfolio: Portfolio,
    batch: str | None,
    models: Sequence[str] = (),
    tier: str | None = None,
) -> Work[Selection]:
    """Return what evaluate would do on a batch."""
    config, label = portfolio.config, batch_of("evaluate", batch, portfolio.config)
    settings = config.evaluate.model_copy(update={"tier": tier or config.evaluate.tier})
    if settings.report:
        check_report()

    def inputs() -> Inputs[Selection]:
        selection = select_models(portfolio, label, models)
        references = {
            f"reference {reference}": last_run.run_id
            for reference in _reference_batches(selection.models)
            if (last_run := portfolio.ledger.last_run("predict", reference)) is not None
        }
        identity = {**selection.stored.identity(), **references, "asked": ", ".join(models)}
        return Inputs(identity, selection)

    dumped = settings.model_dump(mode="json")
    do = partial(_evaluate, portfolio, settings)
    is_ad_hoc = bool(models) or tier is not None
    return Work(portfolio, "evaluate", label, inputs, dumped, do, is_ad_hoc)


def _reference_batches(models: Iterable[EvaluatedModel]) -> list[str]:
    return sorted({model.trained_on[0] for model in models if model.trained_on})


def _evaluate(
    portfolio: Portfolio, settings: EvaluateSettings, run: Run, selection: Selection
) -> None:
    config, stored = portfolio.config, selection.stored
    factors = factor_names(config, settings) if settings.tier == "full" else ()
    reader = BatchReader(portfolio, settings, selection, run.batch, factors)
    with ExitStack() as persistence:
        with run.phase("join"):
            rows = persistence.enter_context(reader.judged())
            totals = BatchTotals(rows.rows, stored.models)
        run.rows_in = totals.rows
        marked, reasons = judgeable(run.batch, selection, totals)
        rows = without_bins(rows, reasons)
        judged = _judged_batch(config, run, settings, rows, totals, selection, marked)
        account = account_details(totals, judged.models, settings)
        metrics, lift = metrics_and_lift(run, judged)
        by_level: list[dict[str, Any]] = []
        by_two: list[dict[str, Any]] = []
        if settings.tier == "full":
            with run.phase("factors"):
                by_level, moves, by_two = factors_and_moves(judged)
                lift += moves
    models = judged.models
    with run.phase("write"):
        names = [model.name for model in models]
        _write(portfolio, run, names, settings.tier, (metrics, by_level, lift, by_two))
    run.rows_out = sum(written.rows for written in run.outputs.values())
    run.details = {"tier": settings.tier, "models": {m.name: m.version for m in models}}
    run.details["rows"] = account
    run.details["actual_expected"] = {
        row["model_name"]: [row["actual_expected"], row["lower"], row["upper"]]
        for row in metrics
        if row["part"] == WHOLE and row["actual_expected"] is not None
    }
    if reasons:
        run.details["not_judged"] = {marked[n].reference: why for n, why in reasons.items()}
    broken = hold_to_thresholds(run, settings, models, metrics, stored.references())
    with run.phase("report"):
        others = other_seconds(portfolio, run, models)
        record_share(run, others)
        if settings.report:
            write_report(
                portfolio, run, settings, models, (metrics, by_level, lift, by_two), broken
            )
    record_share(run, others)
    refuse(run, settings, broken)


def _judged_batch(
    config: Config,
    run: Run,
    settings: EvaluateSettings,
    rows: JudgedInput,
    totals: BatchTotals,
    selection: Selection,
    marked: Mapping[int, EvaluatedModel],
) -> JudgedBatch:
    """Return the batch with its models as they are marked, and the pairs of those judged."""
    pairs = [
        replace(pair, new=marked[pair.new.number], old=marked[pair.old.number])
        for pair in selection.pairs
        if marked[pair.new.number].settings and marked[pair.old.number].settings
    ]
    parts = tuple(part for part in PARTS if part in totals.parts or part == WHOLE)
    interval = ConfidenceInterval(settings.confidence)
    now = datetime.now(UTC)
    context = EvaluationContext(run.batch, run.run_id, settings.tier, interval, now, parts)
    models = [marked[model.number] for model in selection.models]
    return JudgedBatch(config, settings, rows, totals, context, models, pairs)


def _write(
    portfolio: Portfolio,
    run: Run,
    names: Sequence[str],
    tier: str,
    results: tuple[list[dict[str, Any]], ...],
) -> None:
    """Replace the rows of these models, batch and tier in each table, in one commit per table."""
    portfolio.tables.check(*TABLES)
    where = among({"batch_id": [run.batch], "tier": [tier], "model_name": names})
    for table, rows in zip(TABLES, results, strict=True):
        if table is EVALUATION_TWO_WAY and not rows and not portfolio.tables.has(table.name, 0):
            continue  # a portfolio that asks for no pairs has no such table
        run.outputs[table.name] = portfolio.tables.replace_rows(
            table, rows, run.run_id, where, batch=run.batch
        )
