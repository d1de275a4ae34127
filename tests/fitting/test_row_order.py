"""The order of rows by their content is Spark's own."""

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from kyros_spark.fitting.row_order import content_order, xxhash64

HARD = [0.0, -0.0, 1.0, -1.5, 1e-310, 1.7976931348623157e308, float("inf"), float("nan"), 3.0]


def test_hashes_and_order_are_sparks(spark):
    rng = np.random.default_rng(3)
    first = np.concatenate([HARD, rng.normal(size=500), rng.integers(0, 3, 500)])
    second = np.concatenate([HARD[::-1], rng.integers(0, 4, 1000)])
    flag = rng.random(first.size) < 0.5
    table = pd.DataFrame({"n": range(first.size), "first": first, "second": second, "flag": flag})
    # pandas' NaN is Spark's NaN here, not NULL: the frame is made of rows
    kinds = "n int, first double, second double, flag boolean"
    frame = spark.createDataFrame(table.values.tolist(), kinds)
    columns = ["first", "second", "flag"]
    key = F.xxhash64(*columns)
    rows = frame.select("n", key.alias("hash")).orderBy("n").collect()
    ours = [table[name].to_numpy() for name in columns]
    assert xxhash64(ours).tolist() == [row["hash"] for row in rows]
    ordered = frame.repartition(1, key).sortWithinPartitions(key, *columns).collect()
    theirs = np.array([row["n"] for row in ordered])
    order = content_order(ours)
    for name in columns:
        np.testing.assert_array_equal(table[name].to_numpy()[order], table[name].to_numpy()[theirs])
