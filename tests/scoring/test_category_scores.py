"""Splits by categories score as the library does, whatever the value, on every kernel."""

import itertools

import numpy as np
import pandas as pd
import pytest
import xgboost

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.kernels.cpu import KERNELS, missing_features
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests import naive
from tests.scoring.boosters import columns_of, margins

lightgbm = pytest.importorskip("lightgbm")
CATEGORIES = (3, 40, 700)
NAMES = ["few", "some", "many", "x"]
KERNELS_HERE = [kernel for kernel in KERNELS if not missing_features(kernel)]


def training(rows=6000):
    rng = np.random.default_rng(0)
    x = np.stack([*(rng.integers(0, n, rows) for n in CATEGORIES), rng.normal(size=rows)], axis=1)
    x = x.astype(np.float64)
    y = (x[:, 0] == 1) + np.sin(x[:, 1] * 7) + np.cos(x[:, 2]) + x[:, 3] * (x[:, 0] == 2)
    x[rng.random(x.shape) < 0.05] = np.nan
    return x, rng.poisson(np.exp(y * 0.5)).astype(np.float64)


def weird_rows(rows=9000):
    """Categories, their neighbours, what is none, and every odd float."""
    rng = np.random.default_rng(4)
    odd = [np.nan, np.inf, -np.inf, -0.5, -0.0, -1.0, -0.999, 0.5, 1e-40, 2.0**24, 2.0**24 - 1]
    odd += [2.0**31, 2.0**31 - 1, 2.0**32, 2.0**32 + 1, -(2.0**31), 2.0**53, 1e300, -1e300, 1e9]
    columns = []
    for n in CATEGORIES:
        near = [n - 1, n - 0.5, n, n + 1, n + 31, n + 32, 8 * n, n - 1e-9, np.nextafter(n, 0)]
        pool = np.concatenate([odd, near, rng.integers(0, n, 60), rng.integers(0, n, 20) + 0.5])
        columns.append(pool[rng.integers(0, pool.size, rows)])
    return np.stack([*columns, rng.choice([*odd, *rng.normal(size=50)], rows)], axis=1)


def by_xgboost(**parameters):
    x, y = training()
    matrix = xgboost.DMatrix(x, y, feature_names=NAMES, feature_types=["c", "c", "c", "q"])
    settings = {"objective": "count:poisson", "nthread": 1, **parameters}
    return xgboost.train(settings, matrix, settings.pop("rounds", 30))


def by_lightgbm(**parameters):
    x, y = training()
    data = lightgbm.Dataset(x, y, feature_name=NAMES, categorical_feature=[0, 1, 2])
    settings = {"objective": "poisson", "verbose": -1, "num_threads": 1, "min_data_per_group": 5}
    settings |= {"cat_smooth": 1, "cat_l2": 1, **parameters}
    return lightgbm.train(settings, data, settings.pop("rounds", 30))


FITS = {
    "xgboost": (by_xgboost, {}),
    "xgboost, one-hot": (by_xgboost, {"max_cat_to_onehot": 1000}),
    "xgboost, some one-hot": (by_xgboost, {"max_cat_to_onehot": 10, "max_cat_threshold": 5}),
    "xgboost, large trees": (
        by_xgboost,
        {"max_depth": 12, "min_child_weight": 0, "rounds": 5, "lambda": 0},
    ),
    "xgboost, deep and wide": (
        by_xgboost,
        {"grow_policy": "lossguide", "max_leaves": 600, "max_depth": 0, "min_child_weight": 0},
    ),
    "lightgbm": (by_lightgbm, {}),
    "lightgbm, one-hot": (by_lightgbm, {"max_cat_to_onehot": 1000}),
    "lightgbm, large trees": (by_lightgbm, {"num_leaves": 400, "min_data_in_leaf": 2, "rounds": 6}),
    "lightgbm, zero as missing": (by_lightgbm, {"zero_as_missing": True}),
    "lightgbm, missing not used": (by_lightgbm, {"use_missing": False}),
}


def text_of(booster):
    if isinstance(booster, xgboost.Booster):
        return bytes(booster.save_raw("ubj"))
    return booster.model_to_string().encode()


def raw_by_library(booster, rows):
    if isinstance(booster, xgboost.Booster):
        return margins(booster, rows).astype(np.float64)
    return booster.predict(rows, raw_score=True)


def rows_for(booster):
    rows = weird_rows()
    if isinstance(booster, xgboost.Booster):  # float64 beyond float32 is an error there
        with np.errstate(over="ignore"):
            return rows.astype(np.float32)
    return rows


@pytest.fixture(scope="module", params=FITS, ids=list(FITS))
def fitted(request):
    fit, parameters = FITS[request.param]
    booster = fit(**parameters)
    model = import_model(text_of(booster), "m", "claims")
    return booster, read_model(model_to_bytes(model))


@pytest.mark.parametrize("kernel", KERNELS_HERE)
def test_raw_scores_equal_the_librarys_for_every_odd_category(fitted, kernel):
    booster, model = fitted
    assert model.arrays["set_feature"].size > 8
    rows = rows_for(booster)
    found = Scorer(model, kernel).raw(columns_of(rows))
    np.testing.assert_array_equal(found, raw_by_library(booster, rows))


def test_the_slow_twin_agrees_on_a_few_rows(fitted):
    booster, model = fitted
    rows = rows_for(booster)[:60]
    start = np.full(60, model.manifest.intercept)
    expected = naive.tree_scores(model.arrays, rows, start, model.manifest.category_rule)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), expected)


def test_no_set_of_a_feature_is_stored_twice(fitted):
    arrays = fitted[1].arrays
    keys = [
        (int(feature), int(other), arrays["set_bits"][a:b].tobytes())
        for feature, other, (a, b) in zip(
            arrays["set_feature"],
            arrays["set_other_right"],
            itertools.pairwise(arrays["set_start"]),
            strict=True,
        )
    ]
    assert len(set(keys)) == len(keys)


def named_frame(second="süd"):
    x, y = training(2000)
    levels = ["north", second, "east", "West 4"] + [f"z{k}" for k in range(40)]
    some = [None if np.isnan(v) else levels[int(v)] for v in x[:, 1]]
    frame = pd.DataFrame({"x": x[:, 3], "zone": pd.Categorical(some, levels[:40])})
    frame["year"] = pd.Categorical([None if np.isnan(v) else 2000 + int(v) for v in x[:, 0]])
    return frame, y


def assert_names_are_levels(model, second="süd"):
    number, zone, year = model.manifest.features
    assert number.kind == "numeric"
    assert (zone.kind, zone.unseen, zone.levels[:3]) == (
        "levels",
        "missing",
        ("north", second, "east"),
    )
    assert year.levels == ("2000", "2001", "2002")


def test_lightgbms_pandas_categories_become_levels():
    frame, y = named_frame()
    booster = lightgbm.train(
        {"objective": "poisson", "verbose": -1, "min_data_per_group": 5},
        lightgbm.Dataset(frame, y),
        20,
    )
    model = import_model(booster.model_to_string().encode(), "m", "claims")
    assert_names_are_levels(model)
    codes = [
        frame.x.to_numpy(),
        *(frame[c].cat.codes.replace(-1, np.nan) for c in ("zone", "year")),
    ]
    found = Scorer(model).raw([np.asarray(one, np.float64) for one in codes])
    np.testing.assert_array_equal(found, booster.predict(frame, raw_score=True))


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_xgboosts_stored_categories_become_levels(form):
    frame, y = named_frame("south")
    matrix = xgboost.DMatrix(frame, y, enable_categorical=True)
    booster = xgboost.train({"objective": "count:poisson", "nthread": 1}, matrix, 20)
    model = import_model(bytes(booster.save_raw(form)), "m", "claims")
    assert_names_are_levels(model, "south")
    codes = [
        frame.x.to_numpy(),
        *(frame[c].cat.codes.replace(-1, np.nan) for c in ("zone", "year")),
    ]
    found = Scorer(model).raw([np.asarray(one, np.float64) for one in codes])
    np.testing.assert_array_equal(found, booster.predict(matrix, output_margin=True))


def test_xgboosts_shifted_names_beyond_ascii_are_refused():
    frame, y = named_frame("süd")
    booster = xgboost.train({}, xgboost.DMatrix(frame, y, enable_categorical=True), 2)
    with pytest.raises(ModelNotSupportedError, match="feature 1: category names beyond ASCII"):
        import_model(bytes(booster.save_raw("ubj")), "m", "claims")


def test_pandas_columns_that_cannot_be_told_are_refused():
    frame, y = named_frame()
    frame["year"] = frame.year.cat.as_ordered()
    booster = lightgbm.train({"objective": "poisson", "verbose": -1}, lightgbm.Dataset(frame, y), 2)
    with pytest.raises(ModelNotSupportedError, match="2 lists of category names for 1 features"):
        import_model(booster.model_to_string().encode(), "m", "claims")


def changed(name, index, value):
    def change(arrays):
        array = arrays[name].copy()
        array[index] = value
        return arrays | {name: array}

    return change


HOSTILE = {
    "a missing array": (lambda a: {k: v for k, v in a.items() if k != "set_bits"}, "arrays"),
    "a set out of range": (changed("split_cut", 0, 10**6), "split_cut"),
    "an unknown feature": (changed("set_feature", -1, 77), "set_feature"),
    "a negative feature": (changed("set_feature", 0, -1), "set_feature"),
    "features out of order": (changed("set_feature", 0, 2), "set_feature"),
    "offsets that fall": (changed("set_start", 1, 10**9), "set_start"),
    "offsets that wrap around": (changed("set_start", [1, 2], [3 << 61, -(3 << 61)]), "set_start"),
    "bytes too few": (lambda a: a | {"set_bits": a["set_bits"][1:]}, "set_start"),
    "a flag of two": (changed("set_other_right", 0, 2), "set_other_right"),
    "a flag too few": (lambda a: a | {"set_other_right": a["set_other_right"][1:]}, "other_right"),
    "another type": (lambda a: a | {"set_bits": a["set_bits"].astype("u2")}, "set_bits"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_sets_that_no_kernel_could_trust_are_refused(case):
    booster = by_xgboost(rounds=4)
    model = import_model(text_of(booster), "m", "claims")
    change, said = HOSTILE[case]
    with pytest.raises(ModelFormatError, match=said):
        model_to_bytes(Model(model.manifest, change(model.arrays)))


def test_a_set_too_wide_for_any_library_is_refused():
    model = import_model(text_of(by_xgboost(rounds=2)), "m", "claims")
    a = model.arrays
    last = a["set_start"].copy()
    last[-1] += 1 << 21
    wide = {"set_bits": np.concatenate([a["set_bits"], np.zeros(1 << 21, np.uint8)])}
    with pytest.raises(ModelFormatError, match="set_start"):
        model_to_bytes(Model(model.manifest, a | wide | {"set_start": last}))


def test_version_1_has_no_sets():
    model = import_model(text_of(by_xgboost(rounds=2)), "m", "claims")
    older = model.manifest.model_copy(update={"format_version": 1})
    with pytest.raises(ModelFormatError, match="format_version"):
        model_to_bytes(Model(older, model.arrays))
