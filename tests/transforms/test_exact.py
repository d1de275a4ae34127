"""Sums that do not depend on the order of rows."""

import math

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

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
