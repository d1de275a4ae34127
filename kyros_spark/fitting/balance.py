"""Estimate what a fit leaves out on the training part: its balance, and the large-loss load.

Claims are capped before they are summed (prepare.claims.cap), so a fit never sees the excess. The
excess is spread evenly over all units. Source: domain rules of motor pricing; see docs/models.md.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.transforms.exact import exact_sum

EXCESS = "claim_excess"
FURTHEST = 10.0  # a fit that is off by more than this factor on its training part has diverged


def rebalance_factor(name: str, scored: DataFrame) -> float:
    """Return the training part's observed sum over its predicted sum.

    scored: model rows with PREDICTED, the response per unit

    Raises:
        FitError: the factor is outside 1 / FURTHEST to FURTHEST, so the solver has diverged.
    """
    row = (
        scored.where(F.col("split") == "train")
        .agg(
            exact_sum(F.col(LABEL) * F.col(WEIGHT)).alias("observed"),
            exact_sum(F.col(PREDICTED) * F.exp(OFFSET) * F.col(WEIGHT)).alias("predicted"),
        )
        .first()
    )
    assert row is not None
    predicted = row["predicted"]
    factor = row["observed"] / predicted if predicted else math.inf
    if not 1 / FURTHEST <= factor <= FURTHEST:
        raise FitError(
            f"model {name}: expected a sum of predictions on the training part near "
            f"{row['observed']:g}, found {predicted or 0.0:g}: the solver diverged; use fewer "
            f"levels, or set train.models.{name}.glm.alpha"
        )
    return float(factor)


def flat_load(rows: DataFrame, settings: ModelSettings) -> float:
    """Return the training part's excess over the cap, per unit of the model's ``per``."""
    train = rows.where(F.col("split") == "train")
    row = train.agg(
        exact_sum(F.col(EXCESS)).alias("excess"), exact_sum(F.col(settings.per)).alias("units")
    ).first()
    assert row is not None
    return float((row["excess"] or 0.0) / row["units"])
