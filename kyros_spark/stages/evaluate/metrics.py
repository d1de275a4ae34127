"""Measure the joined rows of a batch, one group of metrics after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kyros_spark.config import Config, EvaluateSettings
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.charts import curve_rows, dislocation_rows, factor_rows
from kyros_spark.evaluation.curves import Curves, Pair
from kyros_spark.evaluation.factors import Factors, factor_sums, ordered_levels
from kyros_spark.evaluation.losses import loss_sums
from kyros_spark.evaluation.metrics import column_sums
from kyros_spark.evaluation.results import EvaluationContext, metric_rows
from kyros_spark.evaluation.rows import SUMS
from kyros_spark.evaluation.stability import stability
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.two_way import MOST_LEVELS, level_sizes, two_way_rows, two_way_sums
from kyros_spark.runs.run import Run
from kyros_spark.stages.evaluate.judged_input import JudgedInput
from kyros_spark.transforms.bins import bin_labels

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class JudgedBatch:
    """A batch's joined rows, with the models and pairs that are judged on them."""

    config: Config
    settings: EvaluateSettings
    input: JudgedInput
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
    context, judged, rows = batch.context, batch.judged, batch.input.rows
    losses = _losses(run, batch)
    curves = Curves({}, [])
    if judged:
        with run.phase("order"):
            curves = rows.curves(judged, batch.pairs, batch.settings.quantiles)
    with run.phase("stability"):
        with_bins = [m for m in batch.models if not batch.input.no_bins[m.number]]
        psi = stability(rows, with_bins, batch.input.bins) if with_bins else {}
    metrics: Rows = []
    for model in batch.models:
        own = [row for row in losses if row["subject"] == model.number]
        points = [point for point in curves.points if point["curve"] == model.number]
        plain = {
            part: column_sums([point for point in points if point["part"] == part], SUMS)
            for part in context.parts
        }
        no_psi = batch.input.no_bins[model.number]
        accounts = {} if model.settings is None else batch.totals.accounts(model)
        metrics += metric_rows(context, model, own, curves.ginis, psi, no_psi, plain, accounts)
    return metrics, list(curve_rows(context, curves.points, judged, batch.pairs))


def _losses(run: Run, batch: JudgedBatch) -> Rows:
    """Return the sums of deviances of the models whose targets are known."""
    totals = batch.totals
    labelled = [model for model in batch.judged if totals.null_means(model) and model.labelled]
    if not labelled:
        return []
    with run.phase("losses"):
        means = {k: mean for model in labelled for k, mean in totals.null_means(model).items()}
        rows = batch.input.rows
        return loss_sums(rows, rows.extra, labelled, means)


def factors_and_moves(batch: JudgedBatch) -> tuple[Rows, Rows, Rows]:
    """Return the rows of `evaluation_factors`, those of `evaluation_lift` by segment, and those of
    `evaluation_two_way`, whose factors are among the first."""
    settings, context, rows = batch.settings, batch.context, batch.input.rows
    names, judged = factor_names(batch.config, settings), batch.judged
    if not names or not judged:
        return [], [], []
    factors, order = _grouped(batch, names)
    large = rows.largest_levels(factors, settings.max_levels)
    sums = factor_sums(rows, rows.extra, factors, large, judged, batch.pairs)
    ordered = ordered_levels(sums, order)
    by_level = [row for m in judged for row in factor_rows(context, m, sums, ordered)]
    moves = [row for pair in batch.pairs for row in dislocation_rows(context, pair, sums, ordered)]
    return by_level, moves, _combinations(batch, factors, order)


def _combinations(batch: JudgedBatch, grouped: Factors, order: dict[str, list[str]]) -> Rows:
    pairs, rows, judged = batch.settings.two_way, batch.input.rows, batch.judged
    if not pairs:
        return []
    factors = {name: grouped[name] for pair in pairs for name in pair}
    large = rows.largest_levels(factors, min(MOST_LEVELS, batch.settings.max_levels))
    sums = two_way_sums(rows, rows.extra, pairs, factors, large, judged)
    ordered = ordered_levels(level_sizes(sums), order)
    return [row for m in judged for row in two_way_rows(batch.context, m, sums, ordered)]


def _grouped(batch: JudgedBatch, names: Sequence[str]) -> tuple[Factors, dict[str, list[str]]]:
    """Return factors with the groups of numbers, and the levels whose order is given."""
    features = batch.config.prepare.features
    texts = [name for name in names if not features[name].is_number]
    numbers = [name for name in names if features[name].is_number]
    order = {name: bin_labels(features[name].bins) for name in texts if features[name].bins}
    order |= {name: list(features[name].order) for name in texts if features[name].order}
    rows, quantiles = batch.input.rows, batch.settings.quantiles
    groups = rows.number_groups(numbers, quantiles) if numbers else {}
    order |= {name: list(group.labels) for name, group in groups.items()}
    return {**dict.fromkeys(texts), **groups}, order
