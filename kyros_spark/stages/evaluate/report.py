"""Write the evaluation's report beside the artefacts, and record the share of time it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kyros_spark import environment
from kyros_spark.config import EvaluateSettings
from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.evaluation.report.evaluation_rows import EvaluationRows
from kyros_spark.evaluation.report.explained_charts import of_summary
from kyros_spark.evaluation.report.page import page
from kyros_spark.evaluation.report.segment_charts import of_segments
from kyros_spark.evaluation.rows import WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.thresholds import Breach
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.storage.files import write_file

Rows = Sequence[dict[str, Any]]
_TREND = (
    "batch_id",
    "model_name",
    "model_version",
    "units",
    "actual_expected",
    "lower",
    "upper",
    "deviance_per_exposure",
    "gini",
    "psi",
)


def record_share(run: Run, others: dict[str, float]) -> None:
    """Put the share of all stages' time that evaluating took so far into the run's details."""
    spent = round(time.time() - run.started, 3)
    run.details["seconds"] = {**others, "evaluate": spent}
    run.details["share_of_run"] = round(spent / (spent + sum(others.values())), 4)


def write_report(
    portfolio: Portfolio,
    run: Run,
    settings: EvaluateSettings,
    models: Sequence[EvaluatedModel],
    tables: tuple[Rows, Rows, Rows, Rows],
    broken: Sequence[Breach],
) -> None:
    """Write the report where the settings say."""
    folder = f"{portfolio.config.tables.artefact_folder()}/evaluation"
    path = f"{folder}/{run.batch}-{settings.tier}.html"
    if isinstance(settings.report, str):
        path = settings.report.replace("{batch}", run.batch)
    trained_here = any(run.batch in m.trained_on and m.labelled for m in models)
    has_test = any(row["part"] == "test" for row in tables[0])
    evaluation = EvaluationRows(
        metrics=tables[0],
        factors=tables[1],
        lift=tables[2],
        two_way=tables[3],
        part="test" if trained_here and has_test else "all",
        min_exposure=settings.min_exposure,
    )
    facts = {
        "portfolio": portfolio.config.portfolio,
        "batch": run.batch,
        "run_id": run.run_id,
        "tier": settings.tier,
        "confidence": settings.confidence,
        "quantiles": settings.quantiles,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": environment.package_version(),
        "seconds": run.details["seconds"],
        "share": run.details["share_of_run"],
        "phases": dict(run.phases),
        "trend": _trend(portfolio, run, models, settings.tier),
        "min_exposure": settings.min_exposure,
        "rows": run.rows_in,
        "breaches": [breach.sentence() for breach in broken],
    }
    explained, segments = _explained(portfolio, run, models), _segments(portfolio, models)
    write_file(portfolio.spark, path, page(evaluation, facts, explained, segments))
    run.details["report"] = path


def _explained(
    portfolio: Portfolio, run: Run, models: Sequence[EvaluatedModel]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the charts of the models whose prices of the batch explain has summed up."""
    explained = portfolio.ledger.last_run("explain", run.batch)
    if explained is None:
        return {}
    version = explained.outputs["explanation_summary"]
    of_batch = {"batch_id": run.batch}
    rows = small_rows(portfolio.tables, "explanation_summary", version, partition=of_batch)
    by_model: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["segment"] is None:
            by_model.setdefault(f"{row['model_name']}@{row['model_version']}", []).append(row)
    judged = [model.reference for model in models]
    return {model: of_summary(by_model[model]) for model in judged if model in by_model}


def _segments(
    portfolio: Portfolio, models: Sequence[EvaluatedModel]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the charts of the models that have a fit per segment, from their files."""
    judged = {model.reference for model in models}
    charts = {}
    for entry in portfolio.registry.entries():
        if entry.reference in judged and entry.settings.get("by"):
            charts[entry.reference] = of_segments(portfolio.registry.load(entry)[0])
    return {reference: specs for reference, specs in charts.items() if specs}


def _trend(
    portfolio: Portfolio, run: Run, models: Sequence[EvaluatedModel], tier: str
) -> list[dict[str, Any]]:
    """Return the metrics of each model version on every batch it was evaluated on so far."""
    references = {model.reference for model in models}
    version = run.outputs["evaluation_metrics"].version
    metrics = small_rows(portfolio.tables, "evaluation_metrics", version, (*_TREND, "part", "tier"))
    of_models = [
        row
        for row in metrics
        if (row["part"], row["tier"]) == (WHOLE, tier)
        and f"{row['model_name']}@{row['model_version']}" in references
    ]
    return sorted(of_models, key=lambda row: (row["model_name"], row["batch_id"]))


def other_seconds(
    portfolio: Portfolio, run: Run, models: Sequence[EvaluatedModel]
) -> dict[str, float]:
    """Return the seconds of each other stage's last finished run of the batch."""
    ledger = portfolio.ledger
    training = {"+".join(model.trained_on) for model in models if model.trained_on}
    trained = [last_run for label in training if (last_run := ledger.last_run("train", label))]
    runs = {stage: ledger.last_run(stage, run.batch) for stage in ("clean", "prepare", "predict")}
    runs["train"] = max(trained, key=lambda last_run: last_run.started_at, default=None)
    return {stage: round(last_run.seconds, 3) for stage, last_run in runs.items() if last_run}
