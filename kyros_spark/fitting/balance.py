"""Estimate what a fit leaves out on the training part: its balance, and the large-loss load.

Claims are capped before they are summed (prepare.claims.cap), so a fit never sees the excess. The
excess is spread evenly over all units. Source: domain rules of motor pricing; see docs/models.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.keyed_sums import Grouped, sums_of
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.config import ModelSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.metrics import PREDICTED, by_split
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, unit_of
from kyros_spark.scoring.arrow_features import as_doubles

EXCESS = "claim_excess"
FURTHEST = 10.0  # a fit that is off by more than this factor on its training part has diverged


def rebalance_factor(name: str, scored: RowSource | DataFrame) -> float:
    """Return the training part's observed sum over its predicted sum.

    scored: model rows with PREDICTED, the response per unit

    Raises:
        FitError: the factor is outside 1 / FURTHEST to FURTHEST, so the solver has diverged.
    """

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        label, weight, rate = (as_doubles(batch.column(n)) for n in (LABEL, WEIGHT, PREDICTED))
        measures = {"observed": label * weight, "predicted": rate * unit_of(batch) * weight}
        yield by_split(batch, measures)

    columns = ("split", LABEL, WEIGHT, OFFSET, PREDICTED)
    train = sums_of(rows_of(scored), columns, ("observed", "predicted"), grouping)["split"]["train"]
    observed, predicted = train["observed"], train["predicted"]
    factor = observed / predicted if predicted else math.inf
    if not 1 / FURTHEST <= factor <= FURTHEST:
        raise FitError(
            f"model {name}: expected a sum of predictions on the training part near "
            f"{observed:g}, found {predicted:g}: the solver diverged; use fewer "
            f"levels, or set train.models.{name}.glm.alpha"
        )
    return float(factor)


def flat_load(rows: RowSource, settings: ModelSettings) -> float:
    """Return the training part's excess over the cap, per unit of the model's ``per``."""

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        excess, units = (batch.column(name).fill_null(0.0) for name in (EXCESS, settings.per))
        yield by_split(batch, {"excess": as_doubles(excess), "units": as_doubles(units)})

    columns = ("split", EXCESS, settings.per)
    train = sums_of(rows, columns, ("excess", "units"), grouping)["split"]["train"]
    return train["excess"] / train["units"]
