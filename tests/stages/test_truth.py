"""Stored predictions and metrics against those who should know: statsmodels, xgboost, scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import xgboost
from portfolio import FIRST, SECOND
from pyspark.sql import functions as F
from sklearn import metrics as sk

from kyros_spark.aggregates.rows import ExecutorRows, collected
from kyros_spark.config import load_config
from kyros_spark.fitting import glm_rows
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled
from kyros_spark.model.artefact import read_model
from kyros_spark.transforms.encode import encoded

GLMS = ("frequency", "severity", "premium")


@pytest.fixture(scope="module")
def stored(finished, spark):
    """Return what predict wrote for a model, by batch and policy."""

    def of(name):
        rows = finished.read(spark, "predictions").where(F.col("model_name") == name).collect()
        assert len(rows) == 240
        return {(row["batch_id"], row["policy_id"]): row for row in rows}

    return of


@pytest.fixture(scope="module")
def manifests(finished, spark):
    """Return the manifest inside each model's registered file."""
    rows = finished.read(spark, "models").collect()
    return {row["model_name"]: read_model(Path(row["path"]).read_bytes()).manifest for row in rows}


def fitted(predictions, manifest):
    """Return predictions as the library's fit gives them, before rebalance and load."""
    return (predictions - manifest.large_loss_load) / manifest.rebalance


@pytest.fixture(scope="module")
def theirs(fits):
    """Return what statsmodels fits on the rows that a GLM was fitted on, and its predictions."""

    def of(name):
        rows, features, _, _ = fits[name]
        ends = np.array(rows.select(LABEL, WEIGHT, OFFSET).collect(), float)
        label, weight, offset = ends.T
        model = sm.GLM(
            label, design(rows, features), FAMILIES[name], offset=offset, var_weights=weight
        )
        return model.fit(tol=1e-13, maxiter=200), features

    return of


FAMILIES = {
    "frequency": sm.families.Poisson(),
    "severity": sm.families.Gamma(sm.families.links.Log()),
    "premium": sm.families.Tweedie(var_power=1.5),
}


def design(rows, features):
    """Return the dense design of prepared rows, encoded here, by hand."""
    columns = [F.lit(1.0)]
    for feature in features:
        value = F.col(feature.name)
        if feature.kind == "numeric":
            columns.append(F.coalesce(value, F.lit(feature.impute)))
            continue
        value = F.coalesce(value, F.lit("(missing)"))
        others = [level for n, level in enumerate(feature.levels) if n != feature.base_code]
        columns += [(value == level).cast("double") for level in others]
    return np.array(rows.select(*(c.alias(f"x{n}") for n, c in enumerate(columns))).collect())


@pytest.mark.parametrize("name", GLMS)
def test_stored_glm_predictions_are_statsmodels_own(
    name, theirs, stored, manifests, finished, spark
):
    fit, features = theirs(name)
    prepared = finished.read(spark, "prepared")
    told = prepared.select("batch_id", "policy_id").collect()
    ours = stored(name)
    found = [ours[(row["batch_id"], row["policy_id"])]["prediction"] for row in told]
    found = fitted(np.array(found), manifests[name])
    assert found.min() > 0 and found.std() > 0
    np.testing.assert_allclose(found, np.exp(design(prepared, features) @ fit.params), rtol=1e-7)


@pytest.mark.parametrize("name", GLMS)
def test_stored_relativities_and_totals_are_statsmodels(name, theirs, finished, spark):
    fit, _ = theirs(name)
    rows = finished.read(spark, "relativities").where(F.col("model_name") == name).collect()
    told = [row for row in rows if not row["is_base"]]
    assert len(told) == len(fit.params)
    assert [row["relativity"] for row in rows if row["is_base"]] == [1.0] * (len(rows) - len(told))
    lower, upper = fit.conf_int().T
    by_size = np.argsort(fit.params)  # the table keeps no order
    told.sort(key=lambda row: row["coefficient"])
    for column, expected in {
        "coefficient": fit.params, "standard_error": fit.bse, "p_value": fit.pvalues,
        "relativity": np.exp(fit.params), "lower": np.exp(lower), "upper": np.exp(upper),
    }.items():  # fmt: skip
        found = [row[column] for row in told]
        np.testing.assert_allclose(found, expected[by_size], rtol=1e-5, atol=1e-12)
    models = finished.read(spark, "models").where(F.col("model_name") == name).first()
    assert models["metrics"]["aic"] == pytest.approx(fit.aic, rel=1e-8)
    assert models["metrics"]["residual_deviance"] == pytest.approx(fit.deviance, rel=1e-8)


def test_mllib_finds_the_same_coefficients(fits):
    rows, features, settings, fit = fits["frequency"]
    glm = settings.glm.model_copy(update={"solver": "mllib"})
    theirs = fit_glm(rows, features, settings.model_copy(update={"glm": glm}))
    assert theirs.rows_held == "mllib"
    assert theirs.intercept == pytest.approx(fit.intercept, abs=1e-6)
    for name, table in theirs.tables.items():
        np.testing.assert_allclose(fit.tables[name], table, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frequency", "premium"])
def test_where_rows_are_held_and_their_partitions_change_no_result(name, fits, monkeypatch):
    rows, features, settings, fit = fits[name]
    assert fit.rows_held == "driver"

    def same(parts, where):
        other = fit_glm(rows.repartition(parts), features, settings)
        assert other.rows_held == where
        for one, two in zip(fit.coefficients, other.coefficients, strict=True):
            assert two.coefficient == pytest.approx(one.coefficient, rel=1e-10, abs=1e-10)
            assert two.rows == one.rows
        assert other.statistics == pytest.approx(fit.statistics, rel=1e-10)

    with monkeypatch.context() as few:
        few.setattr(glm_rows, "LOCAL_ROWS", 0)
        same(2, "cluster")
        if name == "frequency":
            same(1, "cluster")
    answers = iter([False, True])  # too many rows, few of them different
    monkeypatch.setattr(glm_rows, "_is_small", lambda rows, width: next(answers))
    same(2, f"driver, {rows.count()} rows collapsed")


def test_stored_boosted_scores_are_xgboosts_own_margin(fits, stored, manifests, finished, spark):
    _, features, _, fit = fits["boosted"]
    columns = [encoded(feature, impute=False).cast("double") for feature in features]
    prepared = finished.read(spark, "prepared")
    rows = prepared.select("batch_id", "policy_id", "exposure", *columns).collect()
    values = np.array([row[3:] for row in rows], np.float64)  # None becomes NaN
    assert np.isnan(values).any()
    booster = xgboost.Booster(model_file=bytearray(fit.booster))
    matrix = xgboost.DMatrix(values.astype(np.float32), feature_names=booster.feature_names)
    matrix.set_base_margin(np.full(len(rows), fit.start))
    margin = booster.predict(matrix, output_margin=True, iteration_range=(0, fit.rounds))
    ours = stored("boosted")
    found = [ours[(row["batch_id"], row["policy_id"])] for row in rows]
    assert len(np.unique(margin)) > 10
    told = fitted(np.array([row["prediction"] for row in found]), manifests["boosted"])
    np.testing.assert_allclose(np.log(told), margin, rtol=1e-6)
    # ... and with the exposure as offset in the margin, xgboost gives the expected count. In a new
    # matrix: a booster remembers what it predicted for one, whatever its margin becomes.
    matrix = xgboost.DMatrix(values.astype(np.float32), feature_names=booster.feature_names)
    matrix.set_base_margin(fit.start + np.log([row["exposure"] for row in rows]))
    counts = booster.predict(matrix, iteration_range=(0, fit.rounds))
    told = fitted(np.array([row["expected"] for row in found]), manifests["boosted"])
    np.testing.assert_allclose(told, counts, rtol=2e-6)


def test_the_glms_coefficients_maximise_the_likelihood(fits, finished, spark):
    """The score equations of a canonical link: observed equals predicted, overall and by level."""
    features = fits["frequency"][1]
    keys = ["policy_id", "fuel", "driver"]
    rows = finished.read(spark, "prepared", FIRST).where("split = 'train'")
    predicted = finished.read(spark, "predictions", FIRST).where("model_name = 'frequency'")
    seen = F.col("claim_count").alias(LABEL)
    joined = rows.select(*keys, seen).join(predicted.select("policy_id", "expected"), "policy_id")
    for grouped in (joined.groupBy("fuel"), joined.groupBy("driver"), joined.groupBy()):
        for row in grouped.agg(
            F.sum(LABEL).alias("seen"), F.sum("expected").alias("told")
        ).collect():
            assert row["told"] == pytest.approx(row["seen"], rel=1e-6)
    assert [feature.name for feature in features][:2] == ["fuel", "place"]


DEVIANCES = {
    "frequency": lambda y, mu, w: sk.mean_poisson_deviance(y, mu, sample_weight=w),
    "boosted": lambda y, mu, w: sk.mean_poisson_deviance(y, mu, sample_weight=w),
    "severity": lambda y, mu, w: sk.mean_gamma_deviance(y, mu, sample_weight=w),
    "premium": lambda y, mu, w: sk.mean_tweedie_deviance(y, mu, sample_weight=w, power=1.5),
}


@pytest.mark.parametrize("name", list(DEVIANCES))
def test_metrics_in_the_registry_are_scikit_learns(name, stored, manifests, finished, spark):
    settings = finished.settings["train"]["models"][name]
    target, per = settings["target"], settings["per"]
    ours = stored(name)
    parts = {"train": [], "valid": [], "test": []}
    for row in finished.read(spark, "prepared", FIRST).collect():
        if row[per] > 0 and (settings["family"] != "gamma" or row[target] > 0):
            rate = ours[(FIRST, row["policy_id"])]["prediction"] - manifests[name].large_loss_load
            if settings["family"] == "poisson":
                parts[row["split"]].append((row[target], rate * row[per], 1.0, row[per]))
            else:
                parts[row["split"]].append((row[target] / row[per], rate, row[per], 1.0))
    y, _, w, unit = np.array(parts["train"]).T
    null = (y * w).sum() / (unit * w).sum()
    models = {row["model_name"]: row["metrics"] for row in finished.read(spark, "models").collect()}
    told = models[name]
    for part, rows in parts.items():
        y, mu, w, unit = np.array(rows).T
        deviance, nothing = DEVIANCES[name](y, mu, w), DEVIANCES[name](y, null * unit, w)
        assert told[f"{part}_rows"] == len(rows)
        assert told[f"{part}_deviance"] == pytest.approx(deviance, rel=1e-9)
        assert told[f"{part}_null_deviance"] == pytest.approx(nothing, rel=1e-9)
        assert told[f"{part}_d2"] == pytest.approx(1 - deviance / nothing, rel=1e-9, abs=1e-9)
        assert told[f"{part}_balance"] == pytest.approx((mu * w).sum() / (y * w).sum(), rel=1e-9)


def test_models_are_in_balance_on_their_training_part_and_boosting_needs_the_factor(
    stored, manifests, finished, spark
):
    train = finished.read(spark, "prepared", FIRST).where("split = 'train'").collect()
    for name in ("frequency", "boosted", "premium"):
        target, manifest = finished.settings["train"]["models"][name]["target"], manifests[name]
        observed = sum(row[target] for row in train)
        ours = stored(name)
        rates = np.array([ours[(FIRST, row["policy_id"])]["prediction"] for row in train])
        exposure = np.array([row["exposure"] for row in train])
        told = (fitted(rates, manifest) * exposure).sum()
        assert manifest.rebalance == pytest.approx(observed / told, rel=1e-6)
        balanced = ((rates - manifest.large_loss_load) * exposure).sum()
        assert balanced == pytest.approx(observed, rel=1e-6)
    assert manifests["frequency"].rebalance == 1.0
    assert abs(manifests["boosted"].rebalance - 1) > 1e-4


def test_the_large_loss_load_is_the_training_parts_excess_a_policy_year(manifests, finished, spark):
    train = finished.read(spark, "prepared", FIRST).where("split = 'train'").collect()
    dear = sum(row["claim_excess"] for row in train)
    assert dear > 0
    load = manifests["premium"].large_loss_load
    assert load == pytest.approx(dear / sum(row["exposure"] for row in train), rel=1e-12)
    assert {one.large_loss_load for name, one in manifests.items() if name != "premium"} == {0.0}


def test_a_product_is_the_product_and_a_severity_expects_nothing(stored):
    frequency, severity, both = stored("frequency"), stored("severity"), stored("product")
    for key, row in both.items():
        product = frequency[key]["prediction"] * severity[key]["prediction"]
        assert row["prediction"] == product
        assert row["expected"] == product * row["exposure"]
        assert row["model_version"] == "frequency@1*severity@1"
        assert severity[key]["expected"] is None
        assert frequency[key]["expected"] == frequency[key]["prediction"] * row["exposure"]
    assert {batch for batch, _ in both} == {FIRST, SECOND}


@pytest.mark.parametrize("here", [True, False], ids=["driver", "executors"])
def test_weights_and_offsets_follow_the_family(finished, spark, here):
    config = load_config(str(finished.config_file()))
    frame = finished.read(spark, "prepared", FIRST)
    source = collected(frame) if here else ExecutorRows(frame)
    keep = ["claim_count", "claim_amount", "exposure"]

    def of(name):
        rows = modelled(source, config.train.models[name], keep)
        found = rows.table.to_pylist() if here else rows.as_frame().collect()
        assert found
        return found

    frequency, severity, premium = map(of, GLMS)
    assert all(row[WEIGHT] == 1.0 and row[LABEL] == row["claim_count"] for row in frequency)
    assert all(np.exp(row[OFFSET]) == pytest.approx(row["exposure"]) for row in frequency)
    assert all(row["claim_amount"] > 0 and row[WEIGHT] == row["claim_count"] for row in severity)
    assert all(row[LABEL] == row["claim_amount"] / row["exposure"] for row in premium)
    assert any(row[LABEL] == 0 for row in premium)
