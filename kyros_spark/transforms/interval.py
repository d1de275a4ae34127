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
    """Return the lower and upper end around predictions per unit, neither of them below zero."""
    spread = _spread(predicted, units, interval.power)
    lower = F.greatest(predicted + F.lit(interval.below) * spread, F.lit(0.0))
    return lower, F.greatest(predicted + F.lit(interval.above) * spread, F.lit(0.0))


def _spread(predicted: Column, units: Column, power: float) -> Column:
    return F.pow(predicted, F.lit(power / 2)) / F.sqrt(units)
