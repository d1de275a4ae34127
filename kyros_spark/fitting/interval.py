"""Learn a split-conformal prediction interval on the validation part, which no fit uses.

The ends of the interval are two of the scaled residuals of the n validation rows: those of rank
(n + 1) (1 - level) / 2, rounded down, and (n + 1) (1 + level) / 2, rounded up. A new row of the
same distribution lies inside with a probability of at least `level`, however good the model is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, sums_of, whole
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.aggregates.spread import order_statistics
from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, of_split, unit_of
from kyros_spark.model.manifest import PredictionInterval
from kyros_spark.scoring.arrow_features import as_doubles

EXCESS_PER_UNIT = "_excess"
_POWERS = {"poisson": 1.0, "negative_binomial": 1.0, "gamma": 2.0}


def conformal_interval(
    name: str, scored: RowSource | DataFrame, settings: ModelSettings
) -> PredictionInterval:
    """Return the interval of the validation part's scaled residuals.

    scored: model rows with PREDICTED, the response per unit with the large-loss load, and
    EXCESS_PER_UNIT, the claims' excess over the cap per unit.

    Raises:
        TrainingDataError: the validation part has too few rows for the level.
    """
    assert settings.interval is not None
    tail = (1 - settings.interval.level) / 2
    power = _POWERS.get(settings.family, settings.screening_power)
    columns = ("split", LABEL, WEIGHT, OFFSET, PREDICTED, EXCESS_PER_UNIT)
    valid = of_split(rows_of(scored), columns, ("valid",))

    def weighed(batch: pa.RecordBatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {"": (_residuals(batch, power), np.ones(batch.num_rows))}

    counted = sums_of(valid, columns, (), _all_rows).get("", {})
    count = int(counted[""][ROWS]) if counted else 0
    first, last = math.floor((count + 1) * tail), math.ceil((count + 1) * (1 - tail))
    if first < 1 or last > count:
        raise TrainingDataError(
            f"model {name}: expected {math.ceil(1 / tail) - 1} rows or more in the validation part "
            f"for an interval of level {settings.interval.level:g}, found {count}; lower "
            f"train.models.{name}.interval.level, or give prepare.split.valid a larger share"
        )
    below, above = order_statistics(valid, columns, "", weighed, (first, last))
    level = settings.interval.level
    return PredictionInterval(level=level, below=below, above=above, power=power, rows=count)


def _residuals(batch: pa.RecordBatch, power: float) -> np.ndarray:
    """Return the scaled residuals, float64[n]; NaN counts as above every number."""
    label, weight, rate, excess = (
        as_doubles(batch.column(name)) for name in (LABEL, WEIGHT, PREDICTED, EXCESS_PER_UNIT)
    )
    unit = unit_of(batch)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.power(rate, power / 2) / np.sqrt(weight * unit)
        residuals = (label / unit + excess - rate) / spread
    return np.where(np.isnan(residuals), np.inf, residuals)


def _all_rows(batch: pa.RecordBatch) -> Iterator[Grouped]:
    yield whole(batch, "", {})
