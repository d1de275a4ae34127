"""Measure a model's deviance and balance by part, and compare it with the intercept-only model.

Unit deviance, which each row's weight multiplies: Poisson 2 (y log(y / mu) - (y - mu)),
Gamma 2 (-log(y / mu) + (y - mu) / mu),
Negative binomial 2 (y log(y / mu) - (y + theta) log((y + theta) / (mu + theta))),
Tweedie of power p 2 (y^(2-p) / ((1-p)(2-p)) - y mu^(1-p) / (1-p) + mu^(2-p) / (2-p)),
Binomial 2 (y log(y / mu) + (1 - y) log((1 - y) / (1 - mu))).
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition; Joergensen, 1987.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, sums_of
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.config import ModelSettings
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, unit_of
from kyros_spark.scoring.arrow_features import as_doubles, levels_of

PREDICTED = "_predicted"
SCORES = ("log_loss", "brier")  # of a probability alone
_SPLIT = "split"


def unit_deviance(label: Column, mean: Column, settings: ModelSettings) -> Column:
    """Return the unit deviance of a row, before its weight; label and mean have the same unit."""
    log_part = F.when(label > 0, label * F.log(label / mean)).otherwise(0.0)
    if settings.family == "binomial":
        rest = F.when(label < 1, (1 - label) * F.log((1 - label) / (1 - mean))).otherwise(0.0)
        return 2 * (log_part + rest)
    if settings.family == "poisson":
        return 2 * (log_part - (label - mean))
    if settings.family == "negative_binomial":
        theta = float(settings.theta)
        return 2 * (log_part - (label + theta) * F.log((label + theta) / (mean + theta)))
    if settings.family == "gamma":
        return 2 * (-F.log(label / mean) + (label - mean) / mean)
    p = float(settings.tweedie_power)
    first = F.pow(label, 2 - p) / ((1 - p) * (2 - p))
    second = label * F.pow(mean, 1 - p) / (1 - p)
    return 2 * (first - second + F.pow(mean, 2 - p) / (2 - p))


def deviances(label: np.ndarray, mean: np.ndarray, settings: ModelSettings) -> np.ndarray:
    """Return the unit deviance of each row, float64[n], as `unit_deviance` does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_part = np.where(label > 0, label * np.log(label / mean), 0.0)
        if settings.family == "binomial":
            rest = np.where(label < 1, (1 - label) * np.log((1 - label) / (1 - mean)), 0.0)
            result = 2 * (log_part + rest)
        elif settings.family == "poisson":
            result = 2 * (log_part - (label - mean))
        elif settings.family == "negative_binomial":
            theta = float(settings.theta)
            spread = (label + theta) * np.log((label + theta) / (mean + theta))
            result = 2 * (log_part - spread)
        elif settings.family == "gamma":
            result = 2 * (-np.log(label / mean) + (label - mean) / mean)
        else:
            p = float(settings.tweedie_power)
            first = np.power(label, 2 - p) / ((1 - p) * (2 - p))
            second = label * np.power(mean, 1 - p) / (1 - p)
            result = 2 * (first - second + np.power(mean, 2 - p) / (2 - p))
    deviance: np.ndarray = result
    return deviance


def scores(label: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Return SCORES of each row, float64[n], per trial.

    label: float64[n], the share of a row's trials with outcome 1; probability: float64[n], of that
    outcome. The log loss is -log(probability of the outcome), the Brier score its squared distance.
    """
    rest, other = 1 - label, 1 - probability
    with np.errstate(divide="ignore", invalid="ignore"):
        happened = np.where(label > 0, label * np.log(probability), 0.0)
        log_loss = -(happened + np.where(rest > 0, rest * np.log1p(-probability), 0.0))
    return {"log_loss": log_loss, "brier": label * other * other + rest * probability * probability}


def quality(scored: RowSource | DataFrame, settings: ModelSettings) -> dict[str, float]:
    """Return the metrics of each part (train, valid, test).

    scored: model rows with PREDICTED, the response per unit
    deviance and null_deviance are means per row (Poisson) or per unit of weight. The null model
    predicts the training part's mean everywhere. balance is predicted over observed. A probability
    has the means of SCORES too.
    """
    rows, columns = rows_of(scored), ("split", LABEL, WEIGHT, OFFSET, PREDICTED)
    parts = sums_of(rows, columns, ("observed", "units", "weight"), _totals)[_SPLIT]
    null_mean = parts["train"]["observed"] / parts["train"]["units"]
    own = SCORES if settings.family == "binomial" else ()

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        label, weight, mean, unit = _ends(batch)
        scored = scores(label, mean) if own else {}
        yield by_split(batch, {
            "model": weight * deviances(label, mean, settings),
            "null": weight * deviances(label, null_mean * unit, settings),
            "predicted": weight * mean,
            **{name: weight * scored[name] for name in own},
        })  # fmt: skip

    judged = sums_of(rows, columns, ("model", "null", "predicted", *own), grouping)[_SPLIT]
    metrics: dict[str, float] = {}
    for part, totals in judged.items():
        total, observed = parts[part]["weight"], parts[part]["observed"]
        metrics[f"{part}_rows"] = parts[part][ROWS]
        metrics[f"{part}_deviance"] = totals["model"] / total
        metrics[f"{part}_null_deviance"] = totals["null"] / total
        metrics[f"{part}_d2"] = 1 - totals["model"] / totals["null"] if totals["null"] else math.nan
        metrics |= {f"{part}_{name}": totals[name] / total for name in own}
        metrics[f"{part}_balance"] = totals["predicted"] / observed if observed else math.nan
    return metrics


def by_split(batch: pa.RecordBatch, measures: Mapping[str, np.ndarray]) -> Grouped:
    """Return a batch's rows by the part of the split that they are in."""
    levels, codes = levels_of(batch.column("split"), ())
    return Grouped(_SPLIT, [*levels, str(None)], codes % (len(levels) + 1), measures)


def _totals(batch: pa.RecordBatch) -> Iterator[Grouped]:
    label, weight, _, unit = _ends(batch)
    measures = {"observed": label * weight, "units": unit * weight, "weight": weight}
    yield by_split(batch, measures)


def _ends(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return label, weight, predicted mean and unit, float64[n] each."""
    label, weight, predicted = (as_doubles(batch.column(n)) for n in (LABEL, WEIGHT, PREDICTED))
    unit = unit_of(batch)
    return label, weight, predicted * unit, unit
