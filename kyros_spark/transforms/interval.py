"""Put an interval around predictions, from residuals scaled by the spread that the family implies.

A value observed over w units has a variance proportional to mean^power / w, with power 1 for
Poisson, 2 for Gamma, and its own power for a Tweedie. Source: Lei, G'Sell, Rinaldo, Tibshirani and
Wasserman, Distribution-free predictive inference for regression, 2018, section 5.2.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import PredictionInterval


def bounds(predicted: Column, units: Column, interval: PredictionInterval) -> tuple[Column, Column]:
    """Return the lower and upper end around predictions per unit, neither of them below zero.

    What has no prediction has no ends.
    """
    spread = _spread(predicted, units, interval.power)
    lower = _not_below_zero(predicted + F.lit(interval.below) * spread)
    return lower, _not_below_zero(predicted + F.lit(interval.above) * spread)


def _not_below_zero(end: Column) -> Column:
    return F.when(end < 0, 0.0).otherwise(end)  # greatest() would give 0 for NULL


def _spread(predicted: Column, units: Column, power: float) -> Column:
    return F.pow(predicted, F.lit(power / 2)) / F.sqrt(units)
