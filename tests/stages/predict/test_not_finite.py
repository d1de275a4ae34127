"""A prediction that is no number is written as the model gives it, counted and told."""

import math

import pytest
from portfolio import FIRST, SECOND

FAR = "CASE policy_id WHEN 'P003' THEN 1e306D WHEN 'P004' THEN -1e306D ELSE power END"


@pytest.mark.slow
@pytest.mark.parametrize("local_rows", [0, 1000], ids=["executors", "driver"])
def test_a_rate_beyond_all_numbers_is_counted(raw_portfolio, spark, local_rows):
    later = f"CASE WHEN year(start) = {SECOND} THEN {FAR} ELSE power END"
    raw_portfolio.set("prepare.features.far", {"kind": "numeric", "sql": later})
    raw_portfolio.set("spark.local_rows", local_rows)
    model = raw_portfolio.settings["train"]["models"]["frequency"] | {"features": ["far"]}
    raw_portfolio.set("train.models", {"frequency": model})
    raw_portfolio.set("predict", {"models": ["frequency"]})
    line = raw_portfolio.must(f"run --batch {FIRST} --batch {SECOND}")
    assert line["status"] == "done"
    rows = raw_portfolio.read(spark, "predictions", SECOND).collect()
    infinite = [row["policy_id"] for row in rows if math.isinf(row["prediction"])]
    assert len(infinite) == 1, "one of the two rates falls to nothing, the other has no bound"
    told = [
        row["details"]
        for row in raw_portfolio.read(spark, "runs", SECOND).where("stage = 'predict'").collect()
    ]
    assert '"not_finite": {"frequency": 1}' in told[0]
    assert '"expected": {"frequency": null}' in told[0], "JSON has no infinity"
