"""Write the evaluation's report beside the artefacts, and record the share of time it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from kyros_spark import environment
from kyros_spark.config import EvaluateSettings
from kyros_spark.evaluation.report.page import page
from kyros_spark.evaluation.report.sections import EvaluationRows
from kyros_spark.evaluation.subjects import EvaluatedModel
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
    tables: tuple[Rows, Rows, Rows],
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
        "trend": _trend(portfolio, models, settings.tier),
        "min_exposure": settings.min_exposure,
        "rows": run.rows_in,
    }
    write_file(portfolio.spark, path, page(evaluation, facts))
    run.details["report"] = path


def _trend(
    portfolio: Portfolio, models: Sequence[EvaluatedModel], tier: str
) -> list[dict[str, Any]]:
    """Return the metrics of each model version on every batch it was evaluated on so far."""
    references = [model.reference for model in models]
    rows = portfolio.tables.read("evaluation_metrics").where(
        (F.col("part") == "all")
        & (F.col("tier") == tier)
        & F.concat_ws("@", "model_name", "model_version").isin(references)
    )
    return [
        row.asDict() for row in rows.select(*_TREND).orderBy("model_name", "batch_id").collect()
    ]


def other_seconds(
    portfolio: Portfolio, run: Run, models: Sequence[EvaluatedModel]
) -> dict[str, float]:
    """Return the seconds of each other stage's last finished run of the batch."""
    training = sorted({"+".join(model.trained_on) for model in models if model.trained_on})
    done = portfolio.tables.read("runs").where("status = 'done'")
    of_batch = done.where(
        (F.col("stage").isin("clean", "prepare", "predict") & (F.col("batch_id") == run.batch))
        | ((F.col("stage") == "train") & F.col("batch_id").isin(training))
    )
    last = of_batch.groupBy("stage").agg(F.max_by("seconds", "started_at").alias("seconds"))
    return {row["stage"]: round(row["seconds"], 3) for row in last.collect()}
