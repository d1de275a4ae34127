"""Logarithm and exponential are Java's to the last bit, which Spark's are."""

import math

import numpy as np
from pyspark.sql import functions as F

from kyros_spark.kernels.elementary import exp, log

HARD = [
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.inf, -math.inf, 5e-324, 1e-310, 1.7976931348623157e308,
    0.7071067811865476, 1.4142135623730951, 1 - 2e-16, 1 + 3e-16, 709.782712893384, 709.7827128933841,
    -745.1332191019411, -745.1332191019412, 0.34657359027997264, 1.0397207708399179, 1e-9,
]  # fmt: skip


def numbers():
    rng = np.random.default_rng(4)
    return np.concatenate([
        HARD, rng.uniform(0, 1, 4000), 10 ** rng.uniform(-320, 308, 4000), np.arange(367) / 366,
        1 + rng.normal(size=1000) * 1e-8, rng.uniform(-745, 709, 4000), rng.normal(size=4000),
    ])  # fmt: skip


def test_they_are_sparks_to_the_last_bit(spark):
    values = numbers()
    frame = spark.createDataFrame([(float(value),) for value in values], "x double").coalesce(1)
    rows = frame.select("x", F.log("x").alias("log"), F.exp("x").alias("exp")).collect()
    theirs = np.array([[r["x"], r["log"] if r["x"] > 0 else 0, r["exp"]] for r in rows], float)
    x = theirs[:, 0]
    np.testing.assert_array_equal(np.where(x > 0, log(x), 0.0), theirs[:, 1])
    np.testing.assert_array_equal(exp(x), theirs[:, 2])


def test_they_are_within_one_unit_of_the_last_digit_of_pythons():
    values = numbers()
    positive = values[(values > 0) & (values < math.inf)]
    np.testing.assert_array_max_ulp(log(positive), np.array([math.log(v) for v in positive]), 1)
    small = values[np.abs(values) < 700]
    np.testing.assert_array_max_ulp(exp(small), np.array([math.exp(v) for v in small]), 1)
    np.testing.assert_array_equal(
        log([0.0, -1.0, math.nan, math.inf]), [-math.inf, math.nan, math.nan, math.inf]
    )
    np.testing.assert_array_equal(exp([math.inf, -math.inf, math.nan]), [math.inf, 0.0, math.nan])
