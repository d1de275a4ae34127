"""Learn a split-conformal prediction interval on the validation part, which no fit uses.

The ends of the interval are two of the scaled residuals of the n validation rows: those of rank
(n + 1) (1 - level) / 2, rounded down, and (n + 1) (1 + level) / 2, rounded up. A new row of the
same distribution lies inside with a probability of at least `level`, however good the model is.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.model.manifest import PredictionInterval
from kyros_spark.transforms.interval import scaled_residual

EXCESS_PER_UNIT = "_excess"
ACCURACY = 1_000_000  # ranks are exact up to this many rows, and take about 20 MB
_POWERS = {"poisson": 1.0, "negative_binomial": 1.0, "gamma": 2.0}


def conformal_interval(name: str, scored: DataFrame, settings: ModelSettings) -> PredictionInterval:
    """Return the interval of the validation part's scaled residuals.

    scored: model rows with PREDICTED, the response per unit with the large-loss load, and
    EXCESS_PER_UNIT, the claims' excess over the cap per unit.

    Raises:
        TrainingDataError: the validation part has too few rows for the level.
    """
    assert settings.interval is not None
    tail = (1 - settings.interval.level) / 2
    power = _POWERS.get(settings.family, settings.screening_power)
    unit = F.exp(OFFSET)
    observed = F.col(LABEL) / unit + F.col(EXCESS_PER_UNIT)
    residual = scaled_residual(observed, F.col(PREDICTED), F.col(WEIGHT) * unit, power)
    valid = scored.where(F.col("split") == "valid").select(residual.alias("residual"))
    count = valid.count()
    first, last = math.floor((count + 1) * tail), math.ceil((count + 1) * (1 - tail))
    if first < 1 or last > count:
        raise TrainingDataError(
            f"model {name}: expected {math.ceil(1 / tail) - 1} rows or more in the validation part "
            f"for an interval of level {settings.interval.level:g}, found {count}; lower "
            f"train.models.{name}.interval.level, or give prepare.split.valid a larger share"
        )
    shares = [(rank - 0.5) / count for rank in (first, last)]
    row = valid.agg(F.percentile_approx("residual", shares, ACCURACY).alias("ends")).first()
    assert row is not None
    below, above = row["ends"]
    level = settings.interval.level
    return PredictionInterval(level=level, below=below, above=above, power=power, rows=count)
