"""A lapse model through every stage: statsmodels' coefficients, scikit-learn's scores, refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from portfolio import FIRST, POLICY_HEADER, Portfolio, policy_rows
from sklearn import metrics as sk

HIT = {"method": "glm", "family": "binomial", "target": "hit", "per": "one", "min_level_share": 0}
BOOSTING = {"rounds": 12, "early_stopping": 0, "max_depth": 3, "min_child_weight": 1}


@pytest.fixture(scope="module")
def lapses(spark, tmp_path_factory):
    """The tiny portfolio with policies that were cancelled or not, up to its evaluation."""
    twin = Portfolio(tmp_path_factory.mktemp("probabilities")).write_sources()
    draw = np.random.default_rng(4)
    rows = [[*row, str(int(draw.random() < 0.2 + 0.4 * (row[5] == "petrol")))]
            for row in policy_rows(FIRST)]  # fmt: skip
    twin.write("policies", [*POLICY_HEADER, "cancelled"], rows)
    twin.set("sources.policies.columns.cancelled", {"type": "int", "required": True})
    del twin.settings["prepare"]["claims"], twin.settings["sources"]["claims"]
    twin.set("prepare.targets", {"hit": "cancelled", "one": "1"})
    models = {
        "lapse": {**HIT, "features": ["fuel", "log_bonus"]},
        "boosted_lapse": {**HIT, "method": "boosting", "boosting": BOOSTING},
        "by_exposure": {**HIT, "per": "exposure", "features": ["fuel"]},
    }
    twin.set("train.models", models)
    twin.set("predict", {"models": ["lapse", "boosted_lapse"]})
    twin.set("evaluate", {"factors": ["fuel"]})
    twin.must(f"clean --batch {FIRST}")
    twin.must(f"prepare --batch {FIRST}")
    twin.refused = twin.kyros("train")
    del models["by_exposure"]
    twin.must("train")
    twin.must(f"predict --batch {FIRST}")
    twin.line = twin.must(f"evaluate --batch {FIRST}")
    return twin


def test_exposure_is_refused_as_what_a_probability_is_of_and_the_others_are_fitted(lapses):
    assert (lapses.refused.code, lapses.refused.line["error"]["type"]) == (3, "TrainingDataError")
    assert "model by_exposure: expected in table prepared shares" in lapses.refused.message
    assert "hit above exposure in" in lapses.refused.message


def predicted(lapses, spark, name):
    rows = lapses.read(spark, "prepared", FIRST).join(
        lapses.read(spark, "predictions", FIRST).where(f"model_name = '{name}'").drop("exposure"),
        "policy_id",
    )
    return rows.toPandas()


def test_a_lapse_model_predicts_what_statsmodels_does(lapses, spark):
    rows = predicted(lapses, spark, "lapse")
    design = pd.get_dummies(rows["fuel"]).drop(columns="diesel").assign(bonus=rows["log_bonus"])
    design = sm.add_constant(design.astype(float))
    train = rows["split"] == "train"
    peer = sm.GLM(rows["hit"][train], design[train], family=sm.families.Binomial()).fit(tol=1e-14)
    np.testing.assert_allclose(rows["prediction"], peer.predict(design), rtol=1e-9)
    model = lapses.read(spark, "models").where("model_name = 'lapse'").first()
    assert (model["family"], model["metrics"]["rebalance"]) == ("binomial", 1.0)
    assert model["metrics"]["log_likelihood"] == pytest.approx(peer.llf, rel=1e-9)
    of_train = rows["hit"][train], rows["prediction"][train]
    log_loss = sk.log_loss(*of_train)
    assert model["metrics"]["train_log_loss"] == pytest.approx(log_loss, rel=1e-9)
    assert model["metrics"]["train_deviance"] == pytest.approx(2 * log_loss, rel=1e-9)
    brier = sk.brier_score_loss(*of_train)
    assert model["metrics"]["train_brier"] == pytest.approx(brier, rel=1e-9)
    card = json.loads(Path(model["path"].replace(".kyros", ".json")).read_text())
    assert card["model"]["link"] == "logit" and card["validation"]["train"]["brier"] == brier


@pytest.mark.parametrize("name", ["lapse", "boosted_lapse"])
def test_evaluate_scores_it_as_scikit_learn_does(lapses, spark, name):
    rows = predicted(lapses, spark, name)
    metrics = lapses.read(spark, "evaluation_metrics", FIRST)
    row = metrics.where(f"model_name = '{name}' AND part = 'all'").first()
    assert (row["family"], row["rows"], row["absent"].get("auc")) == ("binomial", len(rows), None)
    auc = sk.roc_auc_score(rows["hit"], rows["prediction"])
    assert row["auc"] == pytest.approx(auc, rel=1e-12)
    assert row["gini"] == pytest.approx(2 * auc - 1, rel=1e-12)
    assert row["log_loss"] == pytest.approx(sk.log_loss(rows["hit"], rows["prediction"]), rel=1e-9)
    ratio = rows["hit"].sum() / rows["prediction"].sum()
    assert row["actual_expected"] == pytest.approx(ratio, rel=1e-12)
    assert row["lower"] < ratio < row["upper"]
    page = Path(lapses.line["details"]["report"]).read_text()
    assert (
        re.search(r">AUC</th><th[^>]*>log loss</th><th[^>]*>Brier</th>", page)
        and f"{row['auc']:.4f}" in page
    )
