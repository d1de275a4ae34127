"""evaluate on the tiny portfolio: what the tables and the report say, and what it refuses."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from portfolio import FIRST, SECOND

TABLES = ("evaluation_metrics", "evaluation_factors", "evaluation_lift", "evaluation_two_way")


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory):
    """The finished portfolio with both batches evaluated: the second has no claims yet."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("evaluated"))
    told = {"pairs": [["boosted", "frequency"]], "two_way": [["fuel", "place"]], "quantiles": 5}
    portfolio.set("evaluate", told)
    stages = "--stages evaluate"
    portfolio.line = portfolio.must(f"run --batch {FIRST} --batch {SECOND} {stages}")
    return portfolio


def metrics(portfolio, spark, batch, part):
    rows = portfolio.read(spark, "evaluation_metrics", batch).where(f"part = '{part}'").collect()
    return {row["model_name"]: row for row in rows}


def test_the_deviance_is_that_of_the_registry(evaluated, spark):
    models = {row["model_name"]: row for row in evaluated.read(spark, "models").collect()}
    for part in ("train", "test"):
        found = metrics(evaluated, spark, FIRST, part)
        for name, row in models.items():
            told = row["metrics"]
            if json.loads(row["settings"])["large_loss_load"]:
                continue  # the registry judges it without the load, which is in what it predicts
            kind = "row" if row["family"] == "poisson" else "exposure"
            deviance = found[name][f"deviance_per_{kind}"]
            assert deviance == pytest.approx(told[f"{part}_deviance"], rel=1e-10)
            assert found[name]["balance"] == pytest.approx(told[f"{part}_balance"], rel=1e-10)


def test_a_model_with_a_load_is_judged_by_claims_as_they_were(evaluated, spark):
    row = metrics(evaluated, spark, FIRST, "train")["premium"]
    assert row["target"] == "claim_amount_with_excess"
    prepared = evaluated.read(spark, "prepared", FIRST).where("split = 'train'").toPandas()
    assert prepared.claim_excess.sum() > 0
    assert row["observed"] == pytest.approx((prepared.claim_amount + prepared.claim_excess).sum())
    assert row["balance"] == pytest.approx(1.0, abs=1e-9)


def test_a_product_is_judged_as_a_pure_premium(evaluated, spark):
    row = metrics(evaluated, spark, FIRST, "all")["product"]
    assert (row["family"], row["target"], row["per"]) == ("tweedie", "claim_amount", "exposure")
    expected = evaluated.read(spark, "predictions", FIRST).where("model_name = 'product'")
    assert row["expected"] == pytest.approx(expected.groupBy().sum("expected").first()[0])
    prepared = evaluated.read(spark, "prepared", FIRST).toPandas()
    assert row["observed"] == pytest.approx(prepared.claim_amount.sum())
    spread = np.sqrt((prepared.claim_amount**2).sum())
    upper = (prepared.claim_amount.sum() + 1.959964 * spread) / row["expected"]
    assert row["upper"] == pytest.approx(upper, rel=1e-6)


def test_a_factor_is_used_by_a_composite_whose_part_uses_it(evaluated, spark):
    rows = evaluated.read(spark, "evaluation_factors", FIRST).select("model_name", "factor", "used")
    used = {}
    for row in rows.distinct().collect():
        used.setdefault(row["model_name"], set()).update([row["factor"]] if row["used"] else [])
    assert used["severity"] == {"fuel", "power"} < used["frequency"]
    assert used["pure_premium"] == used["frequency"] | used["severity"] == used["product"]
    assert used["pure_premium.premium"] == {"driver", "log_bonus"}


def test_without_labels_only_what_needs_none_is_told(evaluated, spark):
    row = metrics(evaluated, spark, SECOND, "all")["frequency"]
    assert row["observed"] is row["deviance_per_row"] is row["gini"] is None
    assert row["absent"]["gini"] == "claim_count is not known in this batch"
    expected = evaluated.read(spark, "predictions", SECOND).where("model_name = 'frequency'")
    assert row["expected"] == pytest.approx(expected.groupBy().sum("expected").first()[0])
    assert row["psi"] > 0 and "psi" not in row["absent"]
    lift = evaluated.read(spark, "evaluation_lift", SECOND)
    moved = lift.where("chart = 'dislocation' AND segment = '' AND part = 'all'").collect()
    assert len(moved) == 1 and sum(moved[0]["bands"].values()) == pytest.approx(1)
    assert lift.where("chart = 'lorenz'").count() == 0


def test_every_feature_is_a_factor_used_or_not(evaluated, spark):
    rows = evaluated.read(spark, "evaluation_factors", FIRST).where("model_name = 'severity'")
    used = {row["factor"]: row["used"] for row in rows.select("factor", "used").collect()}
    features = evaluated.settings["prepare"]["features"]
    assert used == {name: name in ("fuel", "power") for name in features}


def test_the_report_is_one_file_that_fetches_nothing(evaluated):
    folder = evaluated.base / "artefacts" / "evaluation"
    for batch in (FIRST, SECOND):
        text = (folder / f"{batch}-full.html").read_text()
        fetched = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)[^"'\s)>]+""", text)
        assert not fetched and "<script" not in text and "@import" not in text
        assert f"batch {batch}" in text and text.count("<svg") > (10 if batch == FIRST else 0)
    text = (folder / f"{FIRST}-full.html").read_text()
    for told in ("Garwood", "Ties", "frequency_", "pure_premium", "of all stages", "Lorenz"):
        assert told.strip("_") in text
    assert "claim_count is not known in this batch" in (folder / f"{SECOND}-full.html").read_text()


def test_details_say_which_share_of_the_run_it_took(evaluated, spark):
    run = evaluated.read(spark, "runs").where("stage = 'evaluate'").collect()
    assert {row["batch_id"] for row in run} == {FIRST, SECOND}
    assert all('"share_of_run": 0.' in row["details"] for row in run)


@pytest.mark.slow
def test_the_fast_tier_leaves_the_full_one_and_other_batches_alone(evaluated, spark, tmp_path):
    twin = evaluated.copy_to(tmp_path)
    before = {name: twin.read(spark, name).where("tier = 'full'").toPandas() for name in TABLES}
    # A second version of one model, set beside the first one's predictions, which are history now.
    twin.set("train.models", {"frequency": {**twin.settings["train"]["models"]["frequency"],
                                            "glm": {"alpha": 0.5}}})  # fmt: skip
    twin.set("predict", {"models": ["frequency"]})
    twin.must(f"run --batch {FIRST} --stages train,predict")
    told = {"models": ["frequency"], "pairs": [["frequency", "frequency@1"]], "sample_rows": 100}
    twin.set("evaluate", {**told, "report": False})
    line = twin.must(f"evaluate --batch {FIRST} --tier fast")
    assert twin.must(f"evaluate --batch {FIRST} --tier fast")["status"] == "skipped"
    assert "report" not in line["details"]
    for name, rows in before.items():
        assert len(rows) == twin.read(spark, name).where("tier = 'full'").count()
    rows = twin.read(spark, "evaluation_metrics", FIRST).where("tier = 'fast'").collect()
    whole = next(r for r in rows if r["part"] == "all")
    assert (whole["model_name"], whole["model_version"]) == ("frequency", "2")
    lift = twin.read(spark, "evaluation_lift", FIRST).where("chart = 'double_lift'")
    pair = lift.where("tier = 'fast' AND part = 'all'").collect()
    assert {row["other_model"] for row in pair} == {"frequency@1"}
    drawn = sum(row["other_expected"] for row in pair)
    exact = metrics(evaluated, spark, FIRST, "all")["frequency"]
    assert drawn == pytest.approx(exact["expected"], rel=0.2)
    assert sum(row["expected"] for row in pair) == pytest.approx(whole["expected"], rel=1e-10)
    # Each stratum's rows stand for all of it, so that their number is exact.
    assert whole["rows"] == pytest.approx(120) and whole["sampled_rows"] < 120
    error = whole["sampling_error"]["deviance_per_row"]
    assert 0 < error < 0.5
    assert whole["deviance_per_row"] == pytest.approx(exact["deviance_per_row"], rel=0.3)


def same(first, second):
    """Whether two values are equal, numbers up to the last digits of a sum."""
    if isinstance(first, dict):
        return sorted(first) == sorted(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, float) and second is not None:
        return first == pytest.approx(second, rel=1e-12, abs=1e-12)
    return first == second


@pytest.mark.slow
def test_rows_that_do_not_fit_are_judged_on_the_executors_alike(finished, spark, tmp_path):
    """`spark.local_rows` says where sums are computed, and changes no row of any table."""
    portfolios, judged = {}, ((SECOND, "full"), (FIRST, "fast"))
    for where, rows in (("here", 5_000_000), ("executors", 0)):
        portfolios[where] = finished.copy_to(tmp_path / where)
        told = {"pairs": [["boosted", "frequency"]], "quantiles": 5, "max_levels": 3}
        told["two_way"] = [["place", "power"], ["fuel", "driver"]]
        portfolios[where].set("evaluate", {**told, "sample_rows": 100, "report": False})
        for batch, tier in judged:
            words = f"evaluate --batch {batch} --tier {tier} --set spark.local_rows={rows}"
            assert portfolios[where].must(words)["status"] == "done"
    for name in TABLES:
        for batch, tier in judged:
            here, executors = (
                [
                    {k: v for k, v in row.asDict().items() if k not in ("run_id", "evaluated_at")}
                    for row in portfolio.read(spark, name, batch)
                    .where(f"tier = '{tier}'")
                    .collect()
                ]
                for portfolio in portfolios.values()
            )
            assert len(here) == len(executors) > 0 or tier == "fast"
            for row, other in zip(here, executors, strict=True):
                assert same(row, other), (row, other)


def test_a_batch_without_predictions_names_the_command(evaluated):
    outcome = evaluated.kyros("evaluate --batch 2031")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "BatchMissingError")
    assert "kyros predict --batch 2031" in outcome.message


def test_a_model_that_did_not_predict_is_refused_with_those_that_did(evaluated):
    outcome = evaluated.kyros(f"evaluate --batch {FIRST} --model nobody")
    assert (outcome.code, outcome.line["error"]["type"]) == (2, "UnknownModelError")
    assert "frequency@1" in outcome.message
    outcome = evaluated.kyros(f"evaluate --batch {FIRST} --model frequency@7")
    assert outcome.line["error"]["type"] == "UnknownModelError"


@pytest.mark.slow
def test_predictions_of_an_earlier_preparation_are_refused(evaluated, tmp_path):
    portfolio = evaluated.copy_to(tmp_path)
    portfolio.must(f"prepare --batch {FIRST} --set prepare.split.train=0.5")
    outcome = portfolio.kyros(f"evaluate --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "BatchMissingError")
    assert f"kyros predict --batch {FIRST}" in outcome.message
    portfolio.must(f"predict --batch {FIRST}")
    assert portfolio.must(f"evaluate --batch {FIRST}")["status"] == "done"


def test_a_pair_of_different_targets_is_refused(evaluated):
    words = ["evaluate", "--batch", FIRST, "--set", "evaluate.pairs=[[frequency, premium]]"]
    outcome = evaluated.kyros(words)
    assert (outcome.code, outcome.line["error"]["type"]) == (2, "ConfigError")
    assert "claim_amount_with_excess per exposure" in outcome.message


def test_a_target_that_prepared_does_not_have_is_refused(evaluated):
    judged = "evaluate.judged.frequency={target: nothing, family: poisson}"
    words = ["evaluate", "--batch", FIRST, "--set", judged, "--set", "evaluate.pairs=[]"]
    outcome = evaluated.kyros(words)
    assert (outcome.code, outcome.line["error"]["type"]) == (2, "ConfigError")
    assert "found 'nothing'" in outcome.message and "claim_count" in outcome.message


def test_without_its_libraries_the_report_names_the_extra(evaluated, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    outcome = evaluated.kyros(f"evaluate --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (2, "PlatformError")
    assert "pip install 'kyros-spark[report]'" in outcome.message


def test_the_package_brings_the_report_page():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert '"*.html"' in text.split("package-data")[1]
