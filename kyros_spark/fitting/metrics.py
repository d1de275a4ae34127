"""Measure a model's deviance and balance by part, and compare it with the intercept-only model.

Unit deviance, which each row's weight multiplies: Poisson 2 (y log(y / mu) - (y - mu)),
Gamma 2 (-log(y / mu) + (y - mu) / mu),
Negative binomial 2 (y log(y / mu) - (y + theta) log((y + theta) / (mu + theta))),
Tweedie of power p 2 (y^(2-p) / ((1-p)(2-p)) - y mu^(1-p) / (1-p) + mu^(2-p) / (2-p)).
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition; Joergensen, 1987.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT

PREDICTED = "_predicted"


def unit_deviance(label: Column, mean: Column, settings: ModelSettings) -> Column:
    """Return the unit deviance of a row, before its weight; label and mean have the same unit."""
    log_part = F.when(label > 0, label * F.log(label / mean)).otherwise(0.0)
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


def quality(scored: DataFrame, settings: ModelSettings) -> dict[str, float]:
    """Return the metrics of each part (train, valid, test).

    scored: model rows with PREDICTED, the response per unit
    deviance and null_deviance are means per row (Poisson) or per unit of weight. The null model
    predicts the training part's mean everywhere. balance is predicted over observed.
    """
    unit = F.exp(OFFSET)
    sums = (
        scored.groupBy("split")
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum(F.col(LABEL) * F.col(WEIGHT)).alias("observed"),
            F.sum(unit * F.col(WEIGHT)).alias("units"),
        )
        .collect()
    )
    parts = {row["split"]: row for row in sums}
    train = parts["train"]
    null_mean = train["observed"] / train["units"]
    label, weight = F.col(LABEL), F.col(WEIGHT)
    mean = F.col(PREDICTED) * unit
    deviances = scored.groupBy("split").agg(
        F.sum(weight * unit_deviance(label, mean, settings)).alias("model"),
        F.sum(weight * unit_deviance(label, F.lit(null_mean) * unit, settings)).alias("null"),
        F.sum(weight * mean).alias("predicted"),
        F.sum(weight).alias("weight"),
    )
    metrics: dict[str, float] = {}
    for row in deviances.collect():
        part, total = row["split"], row["weight"]
        metrics[f"{part}_rows"] = float(parts[part]["rows"])
        metrics[f"{part}_deviance"] = row["model"] / total
        metrics[f"{part}_null_deviance"] = row["null"] / total
        metrics[f"{part}_d2"] = 1 - row["model"] / row["null"] if row["null"] else math.nan
        observed = parts[part]["observed"]
        metrics[f"{part}_balance"] = row["predicted"] / observed if observed else math.nan
    return metrics
