"""A composite is one name for the product of pinned models, and for what stands beside it."""

import json
from pathlib import Path

import pytest
from portfolio import FIRST, SECOND
from pyspark.sql import functions as F
from sklearn.metrics import mean_tweedie_deviance

from kyros_spark.config import load_config
from kyros_spark.errors import ConfigError
from kyros_spark.model.artefact import read_model


def registered(portfolio, spark, name):
    rows = portfolio.read(spark, "models").where(F.col("model_name") == name).collect()
    return {row["model_version"]: row for row in rows}


def predicted(portfolio, spark, name, batch=FIRST):
    rows = portfolio.read(spark, "predictions", batch).where(F.col("model_name") == name)
    return {row["policy_id"]: row for row in rows.collect()}


def test_one_name_scores_the_product_and_the_model_beside_it(portfolio, spark):
    portfolio.must(f"predict --batch {SECOND} --model pure_premium --run-id alone")
    rows = portfolio.read(spark, "predictions", SECOND).where("run_id = 'alone'")
    assert {row[0] for row in rows.select("model_name").distinct().collect()} == {
        "pure_premium",
        "pure_premium.premium",
    }
    row = registered(portfolio, spark, "pure_premium")[1]
    manifest = read_model(Path(row["path"]).read_bytes()).manifest
    parts = {part.name: (part.version, part.sha256, part.role) for part in manifest.parts}
    for name, (version, sha256, _) in parts.items():
        assert registered(portfolio, spark, name)[version]["sha256"] == sha256
    assert {name: role for name, (_, _, role) in parts.items()} == {
        "frequency": "factor",
        "severity": "factor",
        "premium": "beside",
    }
    both, beside = (
        predicted(portfolio, spark, f"pure_premium{end}", SECOND) for end in ("", ".premium")
    )
    one, other, tweedie = (
        predicted(portfolio, spark, name, SECOND) for name in ("frequency", "severity", "premium")
    )
    for key, found in both.items():
        product = one[key]["prediction"] * other[key]["prediction"]
        assert found["prediction"] == pytest.approx(product * manifest.rebalance, rel=1e-14)
        assert found["expected"] == found["prediction"] * found["exposure"]
        assert beside[key]["prediction"] == tweedie[key]["prediction"]


def test_a_composite_is_judged_by_the_tweedie_deviance_of_its_product(finished, spark):
    told = registered(finished, spark, "pure_premium")[1]
    rates = predicted(finished, spark, "pure_premium")
    test = finished.read(spark, "prepared", FIRST).where("split = 'test'").collect()
    observed = [row["claim_amount"] / row["exposure"] for row in test]
    rate = [rates[row["policy_id"]]["prediction"] for row in test]
    weight = [row["exposure"] for row in test]
    expected = mean_tweedie_deviance(observed, rate, sample_weight=weight, power=1.5)
    assert told["metrics"]["test_deviance"] == pytest.approx(expected, rel=1e-9)
    assert (told["method"], told["target"], told["per"]) == (
        "composite",
        "claim_amount",
        "exposure",
    )


def test_predictions_carry_the_interval_that_was_asked_for_and_no_other(finished, spark):
    row = registered(finished, spark, "pure_premium")[1]
    interval = read_model(Path(row["path"]).read_bytes()).manifest.interval
    assert interval.level == 0.8 and interval.power == 1.5
    for found in predicted(finished, spark, "pure_premium", SECOND).values():
        spread = found["prediction"] ** 0.75 / found["exposure"] ** 0.5
        lower = max(found["prediction"] + interval.below * spread, 0.0)
        upper = found["prediction"] + interval.above * spread
        assert (found["lower"], found["upper"]) == pytest.approx((lower, upper), rel=1e-12)
    assert interval.above > 0
    others = finished.read(spark, "predictions").where("model_name != 'pure_premium'")
    assert others.where("lower IS NOT NULL OR upper IS NOT NULL").count() == 0


@pytest.mark.slow
def test_a_retrained_part_gives_a_new_composite_and_the_old_one_keeps_its_own(portfolio, spark):
    before = predicted(portfolio, spark, "pure_premium")
    portfolio.set("train.models.severity.features", ["fuel"])
    line = portfolio.must("train")
    assert {name: (one["version"], one["how"]) for name, one in line["details"].items()} == {
        "frequency": (1, "kept"),
        "severity": (2, "trained"),
        "premium": (1, "kept"),
        "boosted": (1, "kept"),
        "pure_premium": (2, "trained"),
    }
    rows = registered(portfolio, spark, "pure_premium")
    assert [rows[version]["status"] for version in (1, 2)] == ["retired", "champion"]
    assert rows[1]["fingerprint"] != rows[2]["fingerprint"]
    portfolio.must(f"predict --batch {FIRST} --model pure_premium")
    newer = predicted(portfolio, spark, "pure_premium")
    portfolio.must(f"predict --batch {FIRST} --model pure_premium@1")
    again = predicted(portfolio, spark, "pure_premium")
    assert all(newer[key]["prediction"] != row["prediction"] for key, row in before.items())
    assert all(again[key]["prediction"] == row["prediction"] for key, row in before.items())


def test_a_part_that_is_not_the_one_pinned_is_refused(portfolio, spark):
    table = portfolio.base / "models"
    spark.sql(f"UPDATE delta.`{table}` SET sha256 = 'another' WHERE model_name = 'severity'")
    outcome = portfolio.kyros(f"predict --batch {FIRST} --model pure_premium --run-id spoilt")
    assert outcome.code == 3 and outcome.line["error"]["type"] == "ModelFileError"
    assert "model pure_premium, part severity@1: expected the file of SHA-256" in outcome.message
    assert "found another registered; train the composite again" in outcome.message


REFUSED = {
    "parts that are no pure premium": (
        {"parts": ["frequency", "premium"], "beside": []},
        "found that frequency times premium is claim_amount * claim_count per exposure * exposure",
    ),
    "an unknown part": ({"parts": ["frequency", "severe"]}, "found severe"),
    "itself as a part": ({"parts": ["pure_premium"]}, "found pure_premium"),
    "no parts": ({"parts": []}, "which needs them"),
    "features of its own": ({"features": ["fuel"]}, "leave features out"),
    "another beside it": ({"beside": ["boosted"]}, "boosted is claim_count per exposure"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_composite_that_makes_no_sense_is_refused_before_anything_starts(case, raw_portfolio):
    changes, said = REFUSED[case]
    for key, value in changes.items():
        raw_portfolio.set(f"train.models.pure_premium.{key}", value)
    with pytest.raises(ConfigError) as refused:
        load_config(str(raw_portfolio.config_file()))
    assert said in str(refused.value), json.dumps(str(refused.value))
