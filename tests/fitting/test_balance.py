"""Sums that do not depend on the order of rows, and fits too far off to be put in balance."""

import math

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from kyros_spark.errors import FitError
from kyros_spark.fitting.balance import rebalance_factor
from kyros_spark.fitting.metrics import PREDICTED
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.transforms.exact import exact_sum


def test_a_sum_is_the_same_in_every_order_and_plain_beyond_what_decimals_hold(spark):
    values = np.random.default_rng(1).lognormal(3, 4, 4000)
    frame = spark.createDataFrame(pd.DataFrame({"x": values, "large": values * 1e12}))
    found = {
        frame.orderBy(*order).repartition(parts).agg(exact_sum(F.col("x"))).first()[0]
        for parts, order in ((1, ["x"]), (3, [F.desc("x")]), (2, [F.hash("x")]))
    }
    assert len(found) == 1
    assert found.pop() == pytest.approx(math.fsum(values), rel=1e-14)
    large = frame.agg(exact_sum(F.col("large"))).first()[0]
    assert large == pytest.approx(math.fsum(values * 1e12), rel=1e-12)
    assert frame.limit(0).agg(exact_sum(F.col("x"))).first()[0] is None


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
