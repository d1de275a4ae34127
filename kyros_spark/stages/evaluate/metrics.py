"""Measure stored predictions: the passes over the joined rows, one per group of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import Config, EvaluateSettings
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.charts import curve_rows, dislocation_rows, factor_rows
from kyros_spark.evaluation.curves import Pair, curve_groups, curve_points
from kyros_spark.evaluation.factors import factor_sums, ordered_levels
from kyros_spark.evaluation.metrics import LOSSES, column_sums
from kyros_spark.evaluation.numbers import number_groups, number_values
from kyros_spark.evaluation.results import EvaluationContext, metric_rows
from kyros_spark.evaluation.rows import SUMS, loss_rows, summed
from kyros_spark.evaluation.stability import reference_bins, reference_values, stability
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.spark.persisted import persisted
from kyros_spark.transforms.bins import bin_labels

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class JudgedBatch:
    """A batch's joined rows, with the models and pairs that are judged on them.

    wide: one row per policy with targets, factors and the prediction of each model.
    """

    portfolio: Portfolio
    settings: EvaluateSettings
    wide: DataFrame
    totals: BatchTotals
    context: EvaluationContext
    models: list[EvaluatedModel]
    pairs: list[Pair]

    @property
    def judged(self) -> list[EvaluatedModel]:
        """Return the models that it is known how to judge."""
        return [model for model in self.models if model.settings is not None]


def factor_names(config: Config, settings: EvaluateSettings) -> tuple[str, ...]:
    """Return the factors to judge by: those the settings name, or every feature."""
    return tuple(config.prepare.features) if settings.factors is None else settings.factors


def metrics_and_lift(run: Run, batch: JudgedBatch) -> tuple[Rows, Rows]:
    """Return the rows of `evaluation_metrics`, and those of `evaluation_lift` by quantile."""
    context, judged = batch.context, batch.judged
    losses = _losses(run, batch)
    ginis: dict[tuple[Any, ...], float | None] = {}
    points: Rows = []
    if judged:
        groups = curve_groups(batch.wide, judged, batch.pairs, batch.totals.rows)
        with run.phase("order"), persisted(groups) as groups:
            ginis, points = curve_points(groups, batch.settings.quantiles)
    with run.phase("stability"):
        psi, psi_absent = _stability(batch)
    metrics: Rows = []
    for model in batch.models:
        own = [row for row in losses if row["subject"] == model.number]
        curve = [point for point in points if point["curve"] == model.number]
        curve = [point for point in points if point["curve"] == model.number]
        plain = {
            part: column_sums([point for point in curve if point["part"] == part], SUMS)
            for part in context.parts
        }
        metrics += metric_rows(context, model, own, ginis, psi, psi_absent[model.number], plain)
    return metrics, list(curve_rows(context, points, judged, batch.pairs))


def _losses(run: Run, batch: JudgedBatch) -> Rows:
    """Return the sums of deviances of the models whose targets are known."""
    totals = batch.totals
    labelled = [model for model in batch.judged if totals.null_means(model) and model.labelled]
    if not labelled:
        return []
    with run.phase("losses"):
        means = {k: mean for model in labelled for k, mean in totals.null_means(model).items()}
        rows, by = loss_rows(batch.wide, labelled, means), ("subject", "part", "_group")
        sums = summed(rows, by, (*SUMS, *LOSSES))
        return [row.asDict() for row in sums.withColumnRenamed("_group", "group").collect()]


def _stability(batch: JudgedBatch) -> tuple[dict[tuple[int, str], float], dict[int, str]]:
    """Return the PSI of each model and part, and why a model has none."""
    absent, references = {}, []
    for model in batch.models:
        rows = _reference(batch.portfolio, model)
        absent[model.number] = (
            "" if rows is not None else "table predictions does not hold its training batch"
        )
        if rows is not None:
            references.append((model, rows))
    if not references:
        return {}, absent
    with persisted(reference_values(references, batch.totals.rows)) as values:
        bins = reference_bins(values, batch.settings.quantiles)
    psi = stability(batch.wide, [model for model, _ in references], bins)
    with_bins = {row["subject"] for row in bins}
    other = "table predictions holds its training batch by another version"
    return psi, {n: why or ("" if n in with_bins else other) for n, why in absent.items()}


def _reference(portfolio: Portfolio, model: EvaluatedModel) -> DataFrame | None:
    """Return the model's stored predictions of its first training batch, if there are any."""
    if not model.trained_on:
        return None
    batch = model.trained_on[0]
    last_run = portfolio.ledger.last_run("predict", batch)
    if last_run is None:
        return None
    rows = portfolio.tables.read("predictions", last_run.outputs["predictions"], [batch])
    same_version = F.col("model_version") == model.version
    return rows.where((F.col("model_name") == model.name) & same_version)


def factors_and_moves(batch: JudgedBatch) -> tuple[Rows, Rows]:
    """Return the rows of `evaluation_factors`, and those of `evaluation_lift` by segment."""
    config, settings, context = batch.portfolio.config, batch.settings, batch.context
    features, names, judged = config.prepare.features, factor_names(config, settings), batch.judged
    if not names or not judged:
        return [], []
    levels = {name: F.col(name) for name in names if not features[name].is_number}
    order = {name: bin_labels(features[name].bins) for name in levels if features[name].bins}
    order |= {name: list(features[name].order) for name in levels if features[name].order}
    numbers = [name for name in names if features[name].is_number]
    if numbers:
        with persisted(number_values(batch.wide, numbers, batch.totals.rows)) as values:
            groups = number_groups(values, numbers, settings.quantiles)
        levels |= {name: group.level(name) for name, group in groups.items()}
        order |= {name: list(group.labels) for name, group in groups.items()}
    sums = factor_sums(batch.wide, levels, judged, batch.pairs, settings.max_levels)
    ordered = ordered_levels(sums, order)
    factors = [row for m in judged for row in factor_rows(context, m, sums, ordered)]
    moves = [row for pair in batch.pairs for row in dislocation_rows(context, pair, sums, ordered)]
    return factors, moves
