"""Fits too far off to be put in balance, and loads that nothing could bring there."""

import math

import pandas as pd
import pytest

from kyros_spark.errors import FitError
from kyros_spark.fitting.balance import rebalance_factor
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT


@pytest.mark.parametrize("times", [1e60, 1e-9, math.nan, 0.0])
def test_a_fit_far_from_its_own_training_part_has_diverged(times, spark):
    table = pd.DataFrame({"split": "train", LABEL: [1.0, 0.0], WEIGHT: 1.0, OFFSET: 0.0})
    frame = spark.createDataFrame(table.assign(**{PREDICTED: 0.5 * times}))
    with pytest.raises(
        FitError, match="model m: expected .* near 1, found .*: the solver diverged"
    ):
        rebalance_factor("m", frame)


def test_a_load_without_a_cap_or_of_counts_is_refused_before_anything_starts(raw_portfolio):
    raw_portfolio.set("train.models.frequency.large_loss_load", True)
    outcome = raw_portfolio.kyros("train")
    assert outcome.code == 2
    assert "expected target claim_amount and prepare.claims.cap" in outcome.message
    assert "found target 'claim_count' and cap 5000" in outcome.message
