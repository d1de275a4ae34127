"""monitor names what moved, keeps what it measured, and stops what a rule says must not go on."""

import json

import numpy as np
import pytest
from portfolio import FIRST, POLICIES, SECOND

RENAMED = "gas"


def drift(portfolio, spark, batch, drift_type="BASELINE"):
    rows = portfolio.read(spark, "drift", batch).where(f"drift_type = '{drift_type}'").collect()
    return {(row["column_name"], row["model_name"]): row for row in rows}


def test_run_monitors_every_batch_and_names_the_level_that_nobody_has_seen(finished, spark):
    rows = drift(finished, spark, SECOND)
    assert {name for name, model in rows if model is None} == set(
        finished.settings["prepare"]["features"]
    )
    assert {model for _, model in rows if model} >= {"frequency", "pure_premium", "product"}
    fuel = rows["fuel", None]
    assert fuel["new_levels"] == ["hydrogen"] and fuel["window_cmp"] == FIRST
    twin = finished.read(spark, "prepared", SECOND).toPandas()
    share = twin.exposure[twin.fuel == "hydrogen"].sum() / twin.exposure.sum()
    assert fuel["unseen_share"] == pytest.approx(share, rel=1e-12)
    # What is the same in both batches has not moved.
    power = rows["power", None]
    assert (power["population_stability_index"], power["wasserstein_distance"]) == (0, 0)
    assert drift(finished, spark, FIRST) == {}  # nothing is compared with itself


def test_what_is_absent_has_a_reason_and_nothing_is_nan(finished, spark):
    measures = {
        c.name for c in finished.read(spark, "drift").schema if c.dataType.typeName() == "double"
    }
    for row in finished.read(spark, "drift").collect():
        values = {name: row[name] for name in measures if row[name] is not None}
        assert not values.keys() & row["absent"].keys()
        assert all(value == value for value in values.values())
        assert all(row["absent"].values())


@pytest.mark.slow
def test_both_runners_measure_the_same(portfolio, spark):
    """Rows in this process and rows on the executors; the batch is the same, so nothing has moved."""
    names = ("profile_metrics", "drift")
    leave_out = {"run_id", "monitored_at"}

    def content():
        return {
            name: sorted(
                json.dumps({k: v for k, v in json.loads(text).items() if k not in leave_out})
                for text in portfolio.read(spark, name, SECOND).toJSON().collect()
            )
            for name in names
        }

    here = content()
    portfolio.set("spark.local_rows", 0)
    portfolio.set("monitor.false_alarm_rate", 0.02)  # so that there is something to do
    assert portfolio.must(f"monitor --batch {SECOND}")["status"] == "done"
    assert content() == here


@pytest.mark.parametrize("local_rows", [5_000_000, pytest.param(0, marks=pytest.mark.slow)])
def test_predictions_are_measured_within_the_levels_of_segments(portfolio, spark, local_rows):
    portfolio.set("monitor.segments", ["fuel"])
    portfolio.set("spark.local_rows", local_rows)
    for batch in (FIRST, SECOND):
        portfolio.must(f"monitor --batch {batch}")
    of_frequency = "model_name = 'frequency'"
    scores = portfolio.read(spark, "predictions", SECOND).where(of_frequency).toPandas()
    policies = portfolio.read(spark, "prepared", SECOND).toPandas()[["policy_id", "fuel"]]
    twin = scores.merge(policies, on="policy_id")
    of_slices = "column_name = 'prediction' AND slice_key = 'fuel'"
    measured = portfolio.read(spark, "profile_metrics", SECOND).where(of_slices)
    measured = {row["slice_value"]: row for row in measured.where(of_frequency).collect()}
    assert set(measured) == set(twin.fuel) - {"hydrogen"}  # a level that the baseline has not
    for level, row in measured.items():
        of_level = twin[twin.fuel == level]
        weighted = (of_level.prediction * of_level.exposure).sum() / of_level.exposure.sum()
        assert row["count"] == len(of_level) and row["avg"] == pytest.approx(weighted, rel=1e-12)
        places = np.searchsorted(row["cuts"], of_level.prediction, "right")
        exposure = np.bincount(places, of_level.exposure, len(row["cuts"]) + 1)
        assert [b["exposure"] for b in row["bins"]][:-1] == pytest.approx(exposure, rel=1e-12)
    compared = portfolio.read(spark, "drift", SECOND).where(of_slices).where(of_frequency).collect()
    assert {row["slice_value"] for row in compared} == set(measured)
    assert {row["window_cmp"] for row in compared} == {FIRST}
    assert all(row["population_stability_index"] is not None for row in compared)


@pytest.mark.slow
def test_a_failing_rule_stops_a_batch_before_it_is_predicted_and_the_rest_goes_on(portfolio, spark):
    portfolio.spoil_cells("fuel", dict.fromkeys(range(POLICIES), RENAMED), batch=SECOND)
    portfolio.set("monitor.rules", [
        {"metric": "psi", "threshold": 0.25, "severity": "critical", "action": "fail"}])  # fmt: skip
    before = portfolio.read(spark, "predictions", SECOND).toPandas().run_id.unique().tolist()
    outcome = portfolio.kyros(f"run --batch {FIRST} --batch {SECOND}")
    line = outcome.line
    assert (outcome.code, line["error"]["type"]) == (4, "DriftError")
    assert line["stopped_at"] == {"stage": "monitor", "batch": SECOND}
    assert "fuel: psi" in line["error"]["message"] and RENAMED in line["error"]["message"]
    done = [(step["stage"], step["batch"]) for step in line["steps"]]
    assert ("predict", FIRST) in done and ("predict", SECOND) not in done
    after = portfolio.read(spark, "predictions", SECOND).toPandas().run_id.unique().tolist()
    assert after == before  # those of the extract before
    row = drift(portfolio, spark, SECOND)["fuel", None]
    assert row["verdict"] == "critical" and row["new_levels"] == [RENAMED]
    assert line["batches"][SECOND]["alarms"][0]["column"] == "fuel"


def test_without_a_baseline_it_says_so_and_its_own_work_is_done(portfolio, spark):
    portfolio.set("monitor.baseline", ["2019"])
    line = portfolio.must(f"monitor --batch {SECOND}")
    assert line["status"] == "done" and line["details"]["verdict"] == "ok"
    reasons = {row["absent"]["population_stability_index"]
               for row in drift(portfolio, spark, SECOND).values()}  # fmt: skip
    assert reasons == {
        "baseline batch 2019 is not prepared; run: kyros run --batch 2019 --stages clean,prepare"
    }


def test_a_feature_that_was_defined_otherwise_is_left_out_by_name(portfolio, spark):
    portfolio.set("prepare.features.log_bonus.sql", "ln(bonus + 1)")
    portfolio.must(f"prepare --batch {SECOND}")
    line = portfolio.must(f"monitor --batch {SECOND}")
    assert line["details"]["not_compared"]["log_bonus"] == (
        "the baseline was prepared by another definition"
    )
    row = drift(portfolio, spark, SECOND)["log_bonus", None]
    assert row["population_stability_index"] is None and row["verdict"] is None
    # Predictions of the preparation before are not those of this batch.
    assert line["details"]["models"] == {}


def test_models_without_what_is_required_are_named_and_refused(portfolio, spark):
    portfolio.set("monitor.require", ["interval", "input_hash", "covers"])
    outcome = portfolio.kyros(f"monitor --batch {SECOND}")
    assert (outcome.code, outcome.line["error"]["type"]) == (4, "DriftError")
    lacking = outcome.line["details"]["lacking"]
    assert "pure_premium" not in lacking  # it has an interval, and is a product of GLMs
    assert lacking["frequency"] == ["interval"] and lacking["product"] == ["interval"]
    assert "frequency: interval" in outcome.line["error"]["message"]
    assert drift(portfolio, spark, SECOND)  # what was measured is kept
