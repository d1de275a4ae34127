"""Tree scores are the library's own, bit for bit."""

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import DataContractError, KernelNotAvailableError
from kyros_spark.scoring.scorer import Scorer
from tests import naive
from tests.scoring.boosters import adversarial_rows, boost, columns_of, margins, model_of

BOOSTERS = {
    "poisson, depth 6": {},
    "gamma": {"objective": "reg:gamma", "max_depth": 3},
    "tweedie": {"objective": "reg:tweedie", "tweedie_variance_power": 1.3},
    "squared error": {"objective": "reg:squarederror"},
    "logistic": {"objective": "binary:logistic"},
    "no missing values seen": {"missing": 0.0},
    "stumps": {"max_depth": 1, "rounds": 200},
    "64 leaves, leaf by leaf": {"grow_policy": "lossguide", "max_leaves": 64, "max_depth": 0},
    "deep": {"max_depth": 14, "rounds": 10, "min_child_weight": 0},
    "more than 254 cuts": {"max_bin": 2000, "rounds": 120, "features": 3},
    "random forest": {"num_parallel_tree": 5, "subsample": 0.7, "rounds": 8},
    "one feature": {"features": 6, "max_depth": 2, "rounds": 3},
}


@pytest.fixture(scope="module", params=BOOSTERS, ids=list(BOOSTERS))
def booster(request):
    return boost(**BOOSTERS[request.param])


def test_raw_scores_equal_the_librarys_on_adversarial_rows(booster):
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 5000)
    ours = Scorer(model).raw(columns_of(rows))
    np.testing.assert_array_equal(ours, margins(booster, rows).astype(np.float64))


def test_float64_rows_are_rounded_to_float32_as_the_library_does(booster):
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 3000).astype(np.float64)
    rows *= 1 + np.random.default_rng(5).uniform(-4e-8, 4e-8, rows.shape)
    ours = Scorer(model).raw(columns_of(rows))
    np.testing.assert_array_equal(ours, margins(booster, rows).astype(np.float64))


def test_the_slow_twin_agrees_on_a_few_rows(booster):
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 25)
    start = np.full(25, model.manifest.intercept)
    expected = naive.tree_scores(model.arrays, rows, start)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), expected)


def test_response_is_the_inverse_link_of_the_raw_score(booster):
    model = model_of(booster)
    rows = np.nan_to_num(adversarial_rows(model.arrays, 500), posinf=1e3, neginf=-1e3)
    ours = Scorer(model).response(columns_of(rows))
    np.testing.assert_allclose(ours, booster.predict(xgboost.DMatrix(rows)), rtol=2e-6)


def test_an_offset_starts_the_sum_like_a_base_margin():
    booster = boost()
    model = model_of(booster, intercept=0.0)
    rows = adversarial_rows(model.arrays, 1000)
    offset = np.log(np.random.default_rng(1).uniform(0.01, 1, 1000))
    ours = Scorer(model).raw(columns_of(rows), offset)
    theirs = margins(booster, rows, offset.astype(np.float32))
    np.testing.assert_array_equal(ours, theirs.astype(np.float64))


def test_dart_weights_are_in_the_leaves():
    booster = boost(booster="dart", rate_drop=0.3, rounds=25)
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 2000)
    finite = np.nan_to_num(rows, nan=np.nan, posinf=1e30, neginf=-1e30)
    theirs = booster.predict(xgboost.DMatrix(finite), output_margin=True)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(finite)), theirs.astype(float))


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 4095, 4096, 4097, 9000])
def test_any_number_of_rows_gives_each_row_its_own_score(rows):
    booster = boost(rounds=5)
    model = model_of(booster)
    data = adversarial_rows(model.arrays, 9000)
    whole = Scorer(model).raw(columns_of(data))
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(data[:rows])), whole[:rows])


def test_integer_and_strided_and_read_only_columns_score_alike():
    model = model_of(boost(rounds=5))
    data = np.random.default_rng(0).integers(-3, 4, (100, 6))
    expected = Scorer(model).raw(columns_of(data.astype(np.float64)))
    data.flags.writeable = False
    np.testing.assert_array_equal(Scorer(model).raw(list(data.T)), expected)
    np.testing.assert_array_equal(Scorer(model).raw(list(data.astype(np.float32).T)), expected)
    np.testing.assert_array_equal(Scorer(model).raw(list(data.astype(np.int8).T)), expected)


def test_wrong_columns_are_refused_by_name():
    scorer = Scorer(model_of(boost(rounds=2)))
    good = [np.zeros(4)] * 6
    with pytest.raises(DataContractError, match="expected 6 columns, found 5"):
        scorer.raw(good[:5])
    with pytest.raises(DataContractError, match=r"different lengths: \[3, 4\]"):
        scorer.raw([*good[:5], np.zeros(3)])
    with pytest.raises(DataContractError, match="column f5"):
        scorer.raw([*good[:5], np.array(["a", "b", "c", "d"])])
    with pytest.raises(DataContractError, match="offset"):
        scorer.raw(good, np.zeros((4, 1)))


def test_an_unknown_kernel_is_refused():
    with pytest.raises(KernelNotAvailableError, match="quantum"):
        Scorer(model_of(boost(rounds=2)), kernel="quantum")
