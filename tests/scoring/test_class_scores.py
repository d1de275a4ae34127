"""Models of several classes give the library's raw score of each class, and its probabilities."""

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import DataContractError, ModelFormatError, UsageError
from kyros_spark.kernels.cpu import KERNELS, missing_features
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, columns_of, margins, training_rows

lightgbm = pytest.importorskip("lightgbm")
NAMES = [f"f{k}" for k in range(6)]
KERNELS_HERE = [kernel for kernel in KERNELS if not missing_features(kernel)]


def training(classes=4):
    x, y = training_rows()
    return x, np.minimum(y, classes - 1)


def by_xgboost(rounds=15, **parameters):
    x, y = training()
    settings = {"objective": "multi:softprob", "num_class": 4, "nthread": 1, **parameters}
    return xgboost.train(settings, xgboost.DMatrix(x, y, feature_names=NAMES), rounds)


def by_lightgbm(rounds=15, **parameters):
    x, y = training()
    data = lightgbm.Dataset(x.astype(np.float64), y, feature_name=NAMES)
    settings = {"objective": "multiclass", "num_class": 4, "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings | parameters, data, rounds)


FITS = {
    "xgboost": (by_xgboost, {}),
    "xgboost softmax, parallel": (
        by_xgboost,
        {"objective": "multi:softmax", "num_parallel_tree": 2},
    ),
    "xgboost, large trees": (by_xgboost, {"max_depth": 14, "min_child_weight": 0, "lambda": 0}),
    "xgboost, one base score": (by_xgboost, {"base_score": 0.3}),
    "lightgbm": (by_lightgbm, {}),
    "lightgbm one versus all": (by_lightgbm, {"objective": "multiclassova", "sigmoid": 0.8}),
    "lightgbm, large trees": (by_lightgbm, {"num_leaves": 400, "min_data_in_leaf": 1}),
    "lightgbm, zero as missing": (by_lightgbm, {"zero_as_missing": True}),
}


@pytest.fixture(scope="module", params=FITS, ids=list(FITS))
def fitted(request):
    fit, parameters = FITS[request.param]
    booster = fit(**parameters)
    return booster, imported(booster)


def imported(booster, **options):
    if isinstance(booster, xgboost.Booster):
        data = bytes(booster.save_raw("ubj"))
    else:
        data = booster.model_to_string().encode()
    return read_model(model_to_bytes(import_model(data, "m", "claims", **options)))


def raw_by_library(booster, rows, **options):
    if isinstance(booster, xgboost.Booster):
        return margins(booster, rows).astype(np.float64)
    return booster.predict(rows, raw_score=True, **options)


def rows_for(model, rows=5000):
    with np.errstate(over="ignore"):
        return adversarial_rows(model.arrays, rows)


@pytest.mark.parametrize("kernel", KERNELS_HERE)
def test_each_classs_raw_score_is_the_librarys_bit_for_bit(fitted, kernel):
    booster, model = fitted
    rows = rows_for(model)
    found = Scorer(model, kernel).raw(columns_of(rows))
    assert found.shape == (5000, 4)
    np.testing.assert_array_equal(found, raw_by_library(booster, rows))


def test_the_response_is_the_librarys_probability(fitted):
    booster, model = fitted
    rows = np.nan_to_num(rows_for(model, 800), posinf=1e3, neginf=-1e3)
    found = Scorer(model).response(columns_of(rows))
    if isinstance(booster, xgboost.Booster):
        booster.set_param({"objective": "multi:softprob"})
        expected = booster.predict(xgboost.DMatrix(rows, feature_names=NAMES))
    else:
        expected = booster.predict(rows)
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-7)


def test_a_forest_of_classes_divides_by_the_rounds():
    booster = by_lightgbm(boosting="rf", bagging_freq=1, bagging_fraction=0.6)
    model = imported(booster)
    rows = rows_for(model)
    raw = booster.predict(rows, raw_score=True) / 15
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), raw)
    found = Scorer(model).response(columns_of(rows))
    np.testing.assert_allclose(found, booster.predict(rows), rtol=1e-13)


def test_dart_weights_follow_their_trees_to_the_class():
    booster = by_xgboost(booster="dart", rate_drop=0.4)
    model = imported(booster)
    rows = np.nan_to_num(rows_for(model, 1000), posinf=1e30, neginf=-1e30)
    matrix = xgboost.DMatrix(rows, feature_names=NAMES)
    expected = booster.predict(matrix, output_margin=True).astype(np.float64)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), expected)


@pytest.mark.parametrize("fit", [by_xgboost, by_lightgbm])
def test_fewer_rounds_keep_every_class(fit):
    booster = fit()
    model = imported(booster, iterations=3)
    rows = rows_for(model, 500)
    if fit is by_xgboost:
        expected = booster.inplace_predict(rows, predict_type="margin", iteration_range=(0, 3))
    else:
        expected = booster.predict(rows, raw_score=True, num_iteration=3)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), expected.astype(np.float64))


def test_an_offset_or_another_intercept_is_refused():
    booster = by_xgboost(rounds=2)
    with pytest.raises(DataContractError, match="takes no offset"):
        Scorer(imported(booster)).raw([np.zeros(3)] * 6, np.zeros(3))
    with pytest.raises(UsageError, match="several outputs"):
        imported(booster, intercept=0.0)


@pytest.mark.parametrize("rows", [0, 1, 513])
def test_any_number_of_rows(rows):
    model = imported(by_lightgbm(rounds=2))
    data = rows_for(model, 600)
    found = Scorer(model).response(columns_of(data[:rows]))
    assert found.shape == (rows, 4)
    np.testing.assert_array_equal(found, Scorer(model).response(columns_of(data))[:rows])


HOSTILE = {
    "none": lambda start: start[:0],
    "another number": lambda start: start[:-1],
    "past the trees": lambda start: start + 1,
    "falling": lambda start: np.array([0, *start[:0:-1][1:], 0, start[-1]]),
    "wrapping": lambda start: np.array([0, 3 << 61, -(3 << 61), start[-2], start[-1]]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_output_offsets_that_no_kernel_could_trust_are_refused(case):
    model = imported(by_lightgbm(rounds=3))
    start = HOSTILE[case](model.arrays["output_start"].copy())
    with pytest.raises(ModelFormatError, match="output_start"):
        model_to_bytes(Model(model.manifest, model.arrays | {"output_start": start}))
