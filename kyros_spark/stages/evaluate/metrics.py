"""Measure stored predictions, a group of metrics at a time: the passes over the joined rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import Config, EvaluateSettings
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.charts import curve_rows, dislocation_rows, factor_rows
from kyros_spark.evaluation.curves import Pair, curve_groups, curve_points
from kyros_spark.evaluation.factors import factor_sums, ordered_levels
from kyros_spark.evaluation.metrics import LOSSES, added
from kyros_spark.evaluation.numbers import number_groups, number_values
from kyros_spark.evaluation.results import EvaluationContext, metric_rows
from kyros_spark.evaluation.rows import SUMS, loss_rows, summed
from kyros_spark.evaluation.stability import reference_bins, reference_values, stability
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run
from kyros_spark.spark.persisted import persisted
from kyros_spark.transforms.bins import bin_labels

Rows = list[dict[str, Any]]


def factor_names(config: Config, chosen: EvaluateSettings) -> tuple[str, ...]:
    """Return the factors to judge by: those the settings name, or every feature."""
    return tuple(config.prepare.features) if chosen.factors is None else chosen.factors


def metrics_and_lift(
    portfolio: Portfolio,
    run: Run,
    chosen: EvaluateSettings,
    wide: DataFrame,
    base: BatchTotals,
    judging: EvaluationContext,
    subjects: list[EvaluatedModel],
    pairs: list[Pair],
) -> tuple[Rows, Rows]:
    """Return the rows of `evaluation_metrics`, and those of `evaluation_lift` by quantile."""
    judged = [one for one in subjects if one.settings is not None]
    labelled = [one for one in judged if base.null_means(one) and one.labelled]
    losses: Rows = []
    if labelled:
        with run.phase("losses"):
            means = {of: mean for one in labelled for of, mean in base.null_means(one).items()}
            sums = summed(
                loss_rows(wide, labelled, means), ("subject", "part", "_group"), (*SUMS, *LOSSES)
            )
            losses = [row.asDict() for row in sums.withColumnRenamed("_group", "group").collect()]
    ginis: dict[tuple[Any, ...], float | None] = {}
    points: Rows = []
    if judged:
        groups = curve_groups(wide, judged, pairs, base.rows)
        with run.phase("order"), persisted(groups) as groups:
            ginis, points = curve_points(groups, chosen.quantiles)
    with run.phase("stability"):
        psi, psi_absent = _stability(portfolio, chosen, wide, base, subjects)
    metrics: Rows = []
    for one in subjects:
        mine = [row for row in losses if row["subject"] == one.number]
        plain = {
            part: added([p for p in points if (p["curve"], p["part"]) == (one.number, part)], SUMS)
            for part in judging.parts
        }
        metrics += metric_rows(judging, one, mine, ginis, psi, psi_absent[one.number], plain)
    return metrics, list(curve_rows(judging, points, judged, pairs))


def _stability(
    portfolio: Portfolio,
    chosen: EvaluateSettings,
    wide: DataFrame,
    base: BatchTotals,
    subjects: Sequence[EvaluatedModel],
) -> tuple[dict[tuple[int, str], float], dict[int, str]]:
    """Return the PSI of each model and part, and why a model has none."""
    absent, references = {}, []
    for one in subjects:
        rows = _reference(portfolio, one)
        absent[one.number] = (
            "" if rows is not None else "table predictions does not hold its training batch"
        )
        if rows is not None:
            references.append((one, rows))
    if not references:
        return {}, absent
    with persisted(reference_values(references, base.rows)) as values:
        bins = reference_bins(values, chosen.quantiles)
    found = stability(wide, [one for one, _ in references], bins)
    with_bins = {row["subject"] for row in bins}
    told = "table predictions holds its training batch by another version"
    return found, {n: why or ("" if n in with_bins else told) for n, why in absent.items()}


def _reference(portfolio: Portfolio, one: EvaluatedModel) -> DataFrame | None:
    done = portfolio.ledger.last_done("predict", one.trained_on[0]) if one.trained_on else None
    if done is None:
        return None
    rows = portfolio.tables.read("predictions", done.outputs["predictions"], [one.trained_on[0]])
    return rows.where((F.col("model_name") == one.name) & (F.col("model_version") == one.version))


def by_factor(
    portfolio: Portfolio,
    chosen: EvaluateSettings,
    wide: DataFrame,
    base: BatchTotals,
    judging: EvaluationContext,
    subjects: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
) -> tuple[Rows, Rows]:
    """Return the rows of `evaluation_factors`, and those of `evaluation_lift` by segment."""
    settings = portfolio.config.prepare.features
    names = factor_names(portfolio.config, chosen)
    judged = [one for one in subjects if one.settings is not None]
    if not names or not judged:
        return [], []
    levels = {name: F.col(name) for name in names if not settings[name].is_number}
    known = {n: bin_labels(settings[n].bins) for n in levels if settings[n].bins}
    known |= {n: list(settings[n].order) for n in levels if settings[n].order}
    numbers = [name for name in names if settings[name].is_number]
    if numbers:
        with persisted(number_values(wide, numbers, base.rows)) as values:
            groups = number_groups(values, numbers, chosen.quantiles)
        levels |= {name: of.level(name) for name, of in groups.items()}
        known |= {name: list(of.labels) for name, of in groups.items()}
    found = factor_sums(wide, levels, judged, pairs, chosen.max_levels)
    order = ordered_levels(found, known)
    told = [row for one in judged for row in factor_rows(judging, one, found, order)]
    moves = [row for pair in pairs for row in dislocation_rows(judging, pair, found, order)]
    return told, moves
