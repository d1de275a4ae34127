"""kyros import registers another library's model, within features and budgets, or nothing at all."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xgboost

FEATURES = ["log_bonus", "power"]  # not the order of prepare.features: names decide


def booster(names=FEATURES, rounds=8, **parameters):
    rng = np.random.default_rng(1)
    x = np.stack([rng.choice([-1.0, -0.5, 0.0], 500), rng.uniform(50, 140, 500)], axis=1)
    y = rng.poisson(np.exp(x[:, 0] + (x[:, 1] > 100)))
    x[rng.random(x.shape) < 0.1] = np.nan
    matrix = xgboost.DMatrix(x, y, feature_names=names)
    settings = {"objective": "count:poisson", "max_depth": 4, "nthread": 1, **parameters}
    return xgboost.train(settings, matrix, rounds)


def saved(portfolio, model=None, name="model.ubj"):
    path = portfolio.folder / name
    path.write_bytes((model or booster()).save_raw("ubj"))
    return path


def importing(portfolio, path, *words):
    return portfolio.kyros(
        ["import", "--model-file", str(path), "--name", "other", "--target", "claim_count", *words]
    )


def versions(spark, portfolio):
    if not (portfolio.base / "models").exists():
        return []
    rows = portfolio.read(spark, "models").where("model_name = 'other'").collect()
    return sorted((row.model_version, row.status) for row in rows)


def test_an_imported_model_predicts_a_batch_as_its_library_does(spark, portfolio):
    fitted = booster()
    outcome = importing(portfolio, saved(portfolio, fitted), "--per", "exposure")
    assert outcome.status == "done" and outcome.line["details"]["other"]["version"] == 1
    portfolio.must("predict --batch 2023 --model other")
    scored = portfolio.read(spark, "predictions", "2023").where("model_name = 'other'")
    rows = scored.join(portfolio.read(spark, "prepared", "2023"), "policy_id").collect()
    x = np.array([[row[name] for name in FEATURES] for row in rows], np.float64)
    expected = fitted.predict(xgboost.DMatrix(x, feature_names=FEATURES))
    np.testing.assert_allclose([row["prediction"] for row in rows], expected, rtol=1e-6)


def rows_of(spark, portfolio, batch, prefix):
    scored = portfolio.read(spark, "predictions", batch).where(f"model_name LIKE '{prefix}'")
    return scored.join(portfolio.read(spark, "prepared", batch), "policy_id").collect()


def test_a_models_own_categories_are_levels_and_others_are_missing_to_it(spark, portfolio):
    """The second batch holds a fuel that the model never saw: pandas would make it missing."""
    known = ["diesel", "petrol", "electric"]
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"power": rng.uniform(50, 140, 600), "fuel": rng.choice(known, 600)})
    y = rng.poisson(
        1.0 + 2 * (frame.fuel == "petrol") + (frame.power > 90) * (frame.fuel == "diesel")
    )
    frame.loc[rng.random(600) < 0.2, "fuel"] = None
    frame["fuel"] = pd.Categorical(frame.fuel, known)
    settings = {"objective": "count:poisson", "max_depth": 4, "nthread": 1}
    matrix = xgboost.DMatrix(frame, y, enable_categorical=True)
    fitted = xgboost.train(settings, matrix, 20)
    importing(portfolio, saved(portfolio, fitted), "--per", "exposure")
    portfolio.must("predict --batch 2024 --model other")
    rows = rows_of(spark, portfolio, "2024", "other")
    assert {row["fuel"] for row in rows} - set(known), "an unseen fuel in the batch"
    asked = pd.DataFrame({"power": np.array([row["power"] for row in rows], float)})
    asked["fuel"] = pd.Categorical([row["fuel"] for row in rows], known)
    expected = fitted.predict(xgboost.DMatrix(asked, enable_categorical=True))
    np.testing.assert_allclose([row["prediction"] for row in rows], expected, rtol=1e-6)


def test_each_class_is_predicted_under_its_own_name(spark, portfolio):
    rng = np.random.default_rng(1)
    x = rng.uniform(50, 140, (600, 1))
    matrix = xgboost.DMatrix(x, np.digitize(x[:, 0], [80, 110]), feature_names=["power"])
    settings = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    fitted = xgboost.train(settings, matrix, 5)
    importing(portfolio, saved(portfolio, fitted))
    for _ in range(2):  # the second time replaces the first
        portfolio.must("predict --batch 2023 --model other")
    rows = rows_of(spark, portfolio, "2023", "other.%")
    assert len(rows) == 3 * len({row["policy_id"] for row in rows})
    assert {row["model_name"] for row in rows} == {"other.0", "other.1", "other.2"}
    assert {row["expected"] for row in rows} == {None}
    asked = np.array([[row["power"]] for row in rows], float)
    expected = fitted.predict(xgboost.DMatrix(asked, feature_names=["power"]))
    classes = [int(row["model_name"][-1]) for row in rows]
    found = [row["prediction"] for row in rows]
    np.testing.assert_allclose(found, expected[np.arange(len(rows)), classes], rtol=1e-5)


def test_what_it_costs_is_measured_and_kept_in_the_registry(spark, raw_portfolio):
    path = saved(raw_portfolio)
    outcome = importing(raw_portfolio, path)
    row = raw_portfolio.read(spark, "models").first()
    assert row["method"] == "imported xgboost" and row["status"] == "champion"
    assert set(row["metrics"]) == {"rows_per_second", "model_bytes", "first_score_seconds"}
    assert row["metrics"]["rows_per_second"] > 0
    assert row["metrics"]["model_bytes"] == outcome.line["details"]["other"]["model_bytes"]
    assert json.loads(row["settings"])["target"] == "claim_count"


@pytest.mark.slow
def test_the_same_file_is_registered_once_and_another_retires_it(spark, raw_portfolio):
    path = saved(raw_portfolio)
    assert importing(raw_portfolio, path).status == "done"
    assert importing(raw_portfolio, path).status == "skipped"
    raw_portfolio.set("budgets", {"max_model_bytes": 10_000_000})
    assert importing(raw_portfolio, path).line["details"]["other"]["how"] == "kept"
    assert versions(spark, raw_portfolio) == [(1, "champion")]
    other = saved(raw_portfolio, booster(rounds=9), "other.ubj")
    assert importing(raw_portfolio, other).status == "done"
    assert versions(spark, raw_portfolio) == [(1, "retired"), (2, "champion")]
    third = saved(raw_portfolio, booster(rounds=10), "third.ubj")
    importing(raw_portfolio, third, "--status", "candidate")
    assert versions(spark, raw_portfolio) == [(1, "retired"), (2, "champion"), (3, "candidate")]


BUDGETS = {
    "min_rows_per_second": 1e12,
    "max_model_bytes": 100,
    "max_first_score_seconds": 1e-9,
}


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_model_over_budget_is_refused_and_nothing_is_registered(spark, raw_portfolio, budget):
    raw_portfolio.set("budgets", {budget: BUDGETS[budget]})
    outcome = importing(raw_portfolio, saved(raw_portfolio))
    assert outcome.code == 4 and outcome.line["error"]["type"] == "GateError"
    assert f"budgets.{budget}: expected" in outcome.message and "found" in outcome.message
    assert versions(spark, raw_portfolio) == []
    assert not list(raw_portfolio.base.rglob("*.kyros"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["power", "speed"], "feature speed: .*found no such feature"),
        (["power", "fuel"], "feature fuel: .*found kind levels"),
        (["power", "driver"], "feature driver: .*found kind bins"),
    ],
)
def test_features_that_prepare_does_not_make_as_numbers_are_refused(raw_portfolio, names, said):
    outcome = importing(raw_portfolio, saved(raw_portfolio, booster(names)))
    assert outcome.code == 3 and outcome.line["error"]["type"] == "FeatureMismatchError"
    assert re.search(said, outcome.message)


def test_options_say_what_the_file_does_not(spark, raw_portfolio):
    nameless = saved(raw_portfolio, booster(names=None))
    outcome = importing(raw_portfolio, nameless)
    assert outcome.code == 2 and "expected names for its 2 features" in outcome.message
    words = ["--features", "log_bonus, power", "--intercept", "0", "--iterations", "3"]
    assert (
        importing(raw_portfolio, nameless, *words).line["details"]["other"]["features"] == FEATURES
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "profit"], "--target: expected one of"),
        (["--per", "day"], "--per: expected one of"),
        (["--link", "cauchit"], "--link cauchit"),
        (["--status", "hero"], "--status hero"),
        (["--format", "pmml"], "--format pmml"),
        (["--name", "a b"], "letters, digits"),
    ],
)
def test_wrong_options_are_refused_with_exit_code_2(raw_portfolio, words, said):
    outcome = importing(raw_portfolio, saved(raw_portfolio), *words)
    assert outcome.code == 2 and said in outcome.message


def test_the_result_line_says_what_a_file_was_taken_for(raw_portfolio):
    stale = booster(rounds=17)
    stale.set_attr(best_iteration="1")
    details = importing(raw_portfolio, saved(raw_portfolio, stale)).line["details"]["other"]
    assert (details["rounds_kept"], details["rounds_in_file"]) == (2, 17)
    assert (details["family"], details["link"], details["categories"]) == ("poisson", "log", {})


OTHER_FILES = {
    "nothing": (b"", 3, "begins with b''"),
    "a pickle": (b"\x80\x04K\x01.", 3, "pickle"),
    "a zip": (b"PK\x03\x04rest", 3, "zip"),
    "text": (b"hello", 3, "begins with"),
    "half a model": (b'{"learner": {', 3, "not JSON"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_files_that_are_no_model_are_named(raw_portfolio, kind):
    content, code, said = OTHER_FILES[kind]
    path = raw_portfolio.folder / "file"
    path.write_bytes(content)
    outcome = importing(raw_portfolio, path)
    assert outcome.code == code and said in outcome.message


def test_a_missing_file_and_a_folder_that_is_no_model_are_named(raw_portfolio):
    outcome = importing(raw_portfolio, raw_portfolio.folder / "none")
    assert outcome.code == 2 and "found none" in outcome.message
    outcome = importing(raw_portfolio, raw_portfolio.folder)
    assert outcome.code == 3 and "found no metadata/" in outcome.message


def test_train_s_target_and_unit_are_taken_for_a_model_of_the_same_name(spark, raw_portfolio):
    path = saved(raw_portfolio)
    raw_portfolio.must(["import", "--model-file", str(path), "--name", "frequency"])
    row = raw_portfolio.read(spark, "models").first()
    assert (row["target"], row["per"]) == ("claim_count", "exposure")


def test_a_quality_declared_for_the_name_refuses_what_was_not_measured_on_data(
    spark, raw_portfolio
):
    raw_portfolio.set("train.models.frequency.quality", {"test_d2": {"min": 0.0}})
    path = saved(raw_portfolio)
    outcome = raw_portfolio.kyros(["import", "--model-file", str(path), "--name", "frequency"])
    assert outcome.code == 4 and "model frequency@1 stays candidate" in outcome.message
    assert (
        "quality.test_d2: expected at least 0, found none; there is no champion" in outcome.message
    )
    assert raw_portfolio.read(spark, "models").first()["status"] == "candidate"
