"""Put an interval around predictions: residuals scaled by what the family says of their spread.

A value observed over w units varies by about mean^power / w: power 1 for Poisson, 2 for Gamma, the
Tweedie's own. Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-free predictive
inference for regression, 2018, section 5.2.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import PredictionInterval


def scaled_residual(observed: Column, predicted: Column, units: Column, power: float) -> Column:
    """Return (observed - predicted) / spread, all a unit."""
    return (observed - predicted) / _spread(predicted, units, power)


def bounds(predicted: Column, units: Column, interval: PredictionInterval) -> tuple[Column, Column]:
    """Return the lower and upper end around predictions a unit; no claim is less than nothing."""
    spread = _spread(predicted, units, interval.power)
    lower = F.greatest(predicted + F.lit(interval.below) * spread, F.lit(0.0))
    return lower, F.greatest(predicted + F.lit(interval.above) * spread, F.lit(0.0))


def _spread(predicted: Column, units: Column, power: float) -> Column:
    return F.pow(predicted, F.lit(power / 2)) / F.sqrt(units)
