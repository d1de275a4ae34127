"""Models of every library to explain, rows to explain them on, and slow, obvious Shapley values."""

import functools
import itertools
import math

import numpy as np
import pytest
import xgboost

from kyros_spark.explanation.covers import measured_covers
from kyros_spark.model.artefact import Model
from kyros_spark.model.importers.recognise import import_model
from tests import naive
from tests.scoring.boosters import columns_of, training_rows

NAMES = ["a", "b", "c", "d", "e", "f"]


def without_covers(model):
    kept = {name: array for name, array in model.arrays.items() if "cover" not in name}
    return Model(model.manifest, kept)


def rows_for(model, count, seed=5):
    """Rows around the training rows: whole categories in the first column, and missing values."""
    return training_rows(count, missing=0.2, seed=seed)[0].astype(model.arrays["cut_value"].dtype)


@functools.cache
def xgboost_model(rounds=8, depth=4, objective="count:poisson", kind="q", **settings):
    x, y = training_rows(1500)
    if objective.startswith("multi"):
        y, settings = np.minimum(y, 2), {**settings, "num_class": 3}
    if objective.startswith("binary"):
        y = np.minimum(y, 1)
    matrix = xgboost.DMatrix(
        x, y, feature_names=NAMES, feature_types=[kind, *"qqqqq"], enable_categorical=kind == "c"
    )
    settings = {"objective": objective, "max_depth": depth, "nthread": 1, **settings}
    booster = xgboost.train(settings, matrix, rounds)
    return booster, import_model(bytes(booster.save_raw("ubj")), "m", "claims")


def explained_by_xgboost(booster, rows, kind="q"):
    matrix = xgboost.DMatrix(
        rows, feature_names=NAMES, feature_types=[kind, *"qqqqq"], enable_categorical=kind == "c"
    )
    answer = booster.predict(matrix, pred_contribs=True, strict_shape=True)
    return answer[:, :, :-1], answer[0, :, -1]


@functools.cache
def lightgbm_model(rounds=8, leaves=16, objective="poisson", categories=(), **settings):
    lightgbm = pytest.importorskip("lightgbm")
    x, y = training_rows(1500)
    if objective == "multiclass":
        y, settings = np.minimum(y, 2), {**settings, "num_class": 3}
    data = lightgbm.Dataset(x, y, feature_name=NAMES, categorical_feature=list(categories))
    settings = {"objective": objective, "num_leaves": leaves, "min_data_in_leaf": 5} | settings
    settings |= {"verbose": -1, "num_threads": 1, "min_data_per_group": 5, "max_cat_to_onehot": 1}
    booster = lightgbm.train(settings, data, rounds)
    return booster, import_model(booster.model_to_string().encode(), "m", "claims")


def explained_by_lightgbm(booster, rows, outputs=1):
    answer = booster.predict(rows, pred_contrib=True, num_threads=1)
    answer = answer.reshape(len(rows), outputs, -1)
    return answer[:, :, :-1], answer[0, :, -1]


@functools.cache
def onnx_model():
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.ensemble import RandomForestRegressor

    x, y = training_rows(800, missing=0.0)
    forest = RandomForestRegressor(5, max_depth=6, random_state=0).fit(x, y)
    data = skl2onnx.to_onnx(forest, x[:1]).SerializeToString()
    model = import_model(data, "m", "claims", features=NAMES)
    return forest, measured_covers(model, [columns_of(x)])


def expectation(arrays, tree, row, known, rule, node=0):
    """What a tree gives a row of which only the features `known` are known: by covers, as defined."""
    start = int(arrays["tree_start"][tree])
    if node < 0 or start == arrays["tree_start"][tree + 1]:
        return float(arrays["leaf_value"][start + tree + (~node if node < 0 else 0)])
    split = start + node
    feature, left = naive.split_feature_and_side(arrays, split, row, rule)
    children = [int(arrays[name][split]) for name in ("split_left", "split_right")]
    if feature in known:
        return expectation(arrays, tree, row, known, rule, children[0 if left else 1])
    covers = [
        arrays["split_cover"][start + child] if child >= 0
        else arrays["leaf_cover"][start + tree + ~child]
        for child in children
    ]  # fmt: skip
    return math.fsum(
        cover / arrays["split_cover"][split] * expectation(arrays, tree, row, known, rule, child)
        for child, cover in zip(children, covers, strict=True)
    )


def shapley(value, features):
    """Shapley's own formula: each feature's average gain over all subsets of the others."""
    worth = {
        frozenset(subset): value(frozenset(subset))
        for size in range(len(features) + 1)
        for subset in itertools.combinations(features, size)
    }
    count = len(features)
    return [
        math.fsum(
            (worth[known | {feature}] - worth[known])
            * math.factorial(len(known)) * math.factorial(count - len(known) - 1)
            / math.factorial(count)
            for known in worth
            if feature not in known
        )
        for feature in features
    ]  # fmt: skip


def sums_of_leaves(model, rows):
    """Raw scores in float64, [n, outputs]: XGBoost's own sums are float32."""
    arrays, manifest = model.arrays, model.manifest
    trees = arrays["tree_start"].size - 1
    borders = arrays.get("output_start", np.array([0, trees]))
    intercepts = [output.intercept for output in manifest.outputs] or [manifest.intercept]
    doubles = {**arrays, "leaf_value": arrays["leaf_value"].astype(np.float64)}
    sums = np.tile(np.array(intercepts), (len(rows), 1))
    for number, row in enumerate(rows):
        for output, (first, last) in enumerate(itertools.pairwise(borders)):
            for tree in range(first, last):
                leaf = naive.leaf_of(doubles, tree, row, manifest.category_rule)
                begin = int(arrays["tree_start"][tree]) + tree
                sums[number, output] += doubles["leaf_value"][begin + leaf]
    return sums / manifest.divisor
