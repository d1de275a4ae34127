"""Interactions are XGBoost's, and Shapley's interaction index by definition."""

import itertools
import math

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import CoversMissingError, DataContractError
from kyros_spark.explanation.interactions import interactions
from tests.explanation.subjects import (
    NAMES,
    expectation,
    lightgbm_model,
    rows_for,
    without_covers,
    xgboost_model,
)
from tests.scoring.boosters import columns_of

PAIRS = list(itertools.combinations(range(6), 2))


def test_interactions_are_xgboosts():
    booster, model = xgboost_model()
    rows = rows_for(model, 200)
    matrix = xgboost.DMatrix(rows, feature_names=NAMES)
    theirs = booster.predict(matrix, pred_interactions=True)
    ours = interactions(model, columns_of(rows), PAIRS)
    expected = np.stack([theirs[:, i, j] + theirs[:, j, i] for i, j in PAIRS], axis=1)
    np.testing.assert_allclose(ours[:, 0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("categories", [(), (0,)])
def test_interactions_are_the_index_over_all_subsets(categories):
    model = lightgbm_model(categories=categories)[1]
    arrays, rule = model.arrays, model.manifest.category_rule
    row = rows_for(model, 1, seed=11)
    trees = range(arrays["tree_start"].size - 1)
    worth = {
        frozenset(known): sum(expectation(arrays, tree, row[0], known, rule) for tree in trees)
        for size in range(7)
        for known in itertools.combinations(range(6), size)
    }
    ours = interactions(model, columns_of(row), PAIRS)[0, 0]
    for value, pair in zip(ours, PAIRS, strict=True):
        i, j = (frozenset({feature}) for feature in pair)
        expected = math.fsum(
            math.factorial(len(known)) * math.factorial(4 - len(known)) / math.factorial(5)
            * (worth[known | i | j] - worth[known | i] - worth[known | j] + worth[known])
            for known in worth
            if not known & (i | j)
        )  # fmt: skip
        assert value == pytest.approx(expected, rel=0, abs=1e-12)


def test_pairs_in_any_order_and_twice_are_the_same():
    model = xgboost_model()[1]
    values = interactions(model, columns_of(rows_for(model, 20)), [(1, 0), (0, 1), (1, 0)])
    np.testing.assert_array_equal(values[:, :, 0], values[:, :, 1])
    np.testing.assert_array_equal(values[:, :, 0], values[:, :, 2])
    assert values.any()


def test_what_is_no_pair_is_refused_and_no_pairs_are_nothing():
    model = xgboost_model()[1]
    columns = columns_of(rows_for(model, 4))
    for pair in ((0, 0), (0, 6), (-1, 2)):
        with pytest.raises(DataContractError, match="two different features"):
            interactions(model, columns, [pair])
    assert interactions(model, columns, []).shape == (4, 1, 0)
    with pytest.raises(CoversMissingError):
        interactions(without_covers(model), columns, [(0, 1)])
    stumps = xgboost_model(rounds=1, depth=1)[1]
    assert not interactions(stumps, columns, PAIRS).any()
