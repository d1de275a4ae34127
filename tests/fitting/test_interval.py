"""A conformal interval holds its level on rows that neither the fit nor the interval has seen."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.interval import EXCESS_PER_UNIT, conformal_interval
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.transforms.interval import bounds

LEVEL = 0.9
VALID, NEW = 3000, 20_000


def drawn(family, rows, rng):
    """Draw observed values a unit, of units, around means that a model gets wrong by a tenth."""
    mean = np.exp(rng.normal(0.5, 0.6, rows))
    units = rng.uniform(0.2, 1.0, rows)
    if family == "gamma":
        observed = rng.gamma(2.0 * units, mean / (2.0 * units))
    elif family == "poisson":
        observed = rng.poisson(mean * units) / units
    else:
        count = rng.poisson(units)
        observed = rng.gamma(np.maximum(count, 1e-9) * 2.0, mean / 2.0) / units
    return observed, mean * 1.1, units


def scored(spark, family, rows=VALID):
    observed, predicted, units = drawn(family, rows, np.random.default_rng(4))
    by_offset = family == "poisson"
    table = pd.DataFrame(
        {
            "split": "valid",
            LABEL: observed * units if by_offset else observed,
            OFFSET: np.log(units) if by_offset else 0.0,
            WEIGHT: 1.0 if by_offset else units,
            PREDICTED: predicted,
            EXCESS_PER_UNIT: 0.0,
        }
    )
    return spark.createDataFrame(table), (observed, predicted, units)


def settings(family, level=LEVEL):
    told = {"method": "glm", "family": family, "target": "claim_amount", "per": "exposure"}
    return ModelSettings.model_validate({**told, "interval": {"level": level}})


@pytest.mark.parametrize(("family", "power"), [("gamma", 2.0), ("poisson", 1.0), ("tweedie", 1.5)])
def test_the_interval_is_numpys_ranks_and_covers_new_rows(family, power, spark):
    frame, (observed, predicted, units) = scored(spark, family)
    found = conformal_interval("m", frame, settings(family))
    residual = np.sort((observed - predicted) / (predicted ** (power / 2) / np.sqrt(units)))
    tail = (1 - LEVEL) / 2
    first, last = int((VALID + 1) * tail), int(np.ceil((VALID + 1) * (1 - tail)))
    assert found.below == pytest.approx(residual[first - 1], rel=1e-12)
    assert found.above == pytest.approx(residual[last - 1], rel=1e-12)
    assert (found.level, found.rows, found.power) == (LEVEL, VALID, power)

    observed, predicted, units = drawn(family, NEW, np.random.default_rng(5))
    table = spark.createDataFrame(pd.DataFrame({"y": observed, "p": predicted, "w": units}))
    lower, upper = bounds(F.col("p"), F.col("w"), found)
    told = table.select("y", lower.alias("lower"), upper.alias("upper")).toPandas()
    assert (told["lower"] >= 0).all() and (told["lower"] <= told["upper"]).all()
    covered = ((told["lower"] <= told["y"]) & (told["y"] <= told["upper"])).mean()
    # The share covered varies with the 3,000 rows drawn by 0.0055, and with the new ones by 0.002.
    assert covered > LEVEL - 0.018
    assert covered < LEVEL + 0.018 or family != "gamma"  # counts and zeros repeat: ties cover more


def test_too_few_validation_rows_for_the_level_are_named_with_how_many_it_takes(spark):
    frame, _ = scored(spark, "gamma", rows=20)
    with pytest.raises(TrainingDataError, match="expected 39 rows or more .* level 0.95, found 20"):
        conformal_interval("m", frame, settings("gamma", 0.95))
