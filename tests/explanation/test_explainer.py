"""Contributions add up to the score, and are what the model's own library says."""

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import CoversMissingError, DataContractError
from kyros_spark.explanation.covers import measured_covers
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import boost, columns_of, model_of, training_rows


def without_covers(model):
    kept = {name: array for name, array in model.arrays.items() if "cover" not in name}
    return Model(model.manifest, kept)


@pytest.mark.parametrize("depth", [1, 4, 10])
def test_contributions_are_xgboosts_and_add_up(depth):
    booster = boost(10, max_depth=depth)
    model, rows = model_of(booster, "ubj"), training_rows(200)[0]
    ours = Explainer(model).contributions(columns_of(rows))
    theirs = booster.predict(xgboost.DMatrix(rows), pred_contribs=True)
    np.testing.assert_allclose(ours.values[:, 0], theirs[:, :-1], rtol=0, atol=2e-6)
    np.testing.assert_allclose(ours.base, theirs[0, -1], rtol=2e-6)
    sums = ours.base + ours.values.sum(axis=2)
    np.testing.assert_allclose(sums[:, 0], Scorer(model).raw(columns_of(rows)), 1e-6, 1e-6)


def test_a_model_without_covers_is_refused_with_what_to_do_and_measured():
    booster = boost(5, max_depth=3)
    model, rows = model_of(booster), training_rows(500)[0]
    with pytest.raises(CoversMissingError, match="measured_covers"):
        Explainer(without_covers(model))
    batches = [columns_of(rows[:200]), columns_of(rows[200:])]
    measured = measured_covers(without_covers(model), batches)
    assert measured.manifest.training["covers"] == {
        "source": "measured",
        "rows": 500,
        "weight": 500,
    }
    ours = Explainer(measured).contributions(columns_of(rows))
    assert ours.base == pytest.approx(Scorer(model).raw(columns_of(rows)).mean(), rel=1e-6)
    with pytest.raises(DataContractError, match="found 0 rows"):
        measured_covers(model, [])
