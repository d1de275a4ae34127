"""The ledger keeps its order whatever the clock says, and tells what a run took."""

import time

import pytest
from portfolio import FIRST, SECOND
from pyspark.sql import functions as F

MONTH = 30 * 86_400


def put_back(monkeypatch, seconds):
    now = time.time
    monkeypatch.setattr("kyros_spark.runs.run.time.time", lambda: now() - seconds)


def standing(portfolio, stage, batch):
    told = portfolio.must("status")["standings"]
    return next(one for one in told if (one["stage"], one["batch"]) == (stage, batch))


def test_a_clock_that_was_put_back_makes_no_new_run_an_old_one(portfolio, spark, monkeypatch):
    portfolio.set("prepare.claims.cap", 4000)
    put_back(monkeypatch, MONTH)
    assert portfolio.must(f"prepare --batch {FIRST}")["status"] == "done"
    assert portfolio.must(f"prepare --batch {FIRST}")["status"] == "skipped"
    assert standing(portfolio, "prepare", FIRST)["state"] == "current"
    runs = portfolio.read(spark, "runs")
    times = runs.orderBy("ordinal").select(F.unix_timestamp("started_at").alias("at")).collect()
    assert times[-1]["at"] < times[0]["at"]


def test_a_failure_before_the_clock_was_put_back_is_over_once_it_is_done(portfolio, monkeypatch):
    portfolio.set("prepare.exposure", "exposure * 100")
    assert portfolio.kyros(f"prepare --batch {SECOND}").code == 3
    assert standing(portfolio, "prepare", SECOND)["state"] == "failed"
    put_back(monkeypatch, MONTH)
    portfolio.set("prepare.exposure", "exposure / 2")
    portfolio.must(f"prepare --batch {SECOND}")
    assert standing(portfolio, "prepare", SECOND)["state"] == "current"


def test_a_ledger_of_the_version_before_is_read_and_written_on(portfolio, spark):
    runs = portfolio.base / "runs"
    old = spark.read.format("delta").load(str(runs)).drop("ordinal", "resources").localCheckpoint()
    (old.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(str(runs)))
    assert portfolio.must(f"clean --batch {FIRST}")["status"] == "skipped"
    kept = portfolio.read(spark, "runs").orderBy(F.col("ordinal").desc_nulls_last()).first()
    assert kept["ordinal"] == 1 and kept["status"] == "skipped"


@pytest.mark.parametrize("stage", ["clean", "prepare", "train", "predict"])
def test_a_done_run_tells_what_it_took(finished, spark, stage):
    row = finished.read(spark, "runs").where(f"stage = '{stage}' AND status = 'done'").first()
    told = row["resources"]
    assert told["wall"] == pytest.approx(row["seconds"], abs=2.0)
    assert told["in_jobs"] + told["no_job"] == pytest.approx(told["wall"], abs=1e-3)
    assert 0 <= told["tasks"] <= told["wall"] * 2 + 0.5  # none where the driver does the work
    assert 0 < told["utilisation"] <= 1.2
    assert told["bytes_read"] > 0 and told["bytes_written"] > 0
    if stage == "predict":
        kinds = [told[name] for name in ("exchange", "conversion", "quantise", "kernel")]
        assert all(seconds >= 0 for seconds in kinds) and told["kernel"] > 0
        assert sum(kinds) <= max(told["tasks"], told["wall"]) + 0.5
