"""XGBoost models are imported from both of its forms, or refused by name."""

import contextlib
import json

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.model.importers.xgboost import OBJECTIVES, trees_from_xgboost
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import boost, columns_of, training_rows


@pytest.fixture(scope="module")
def document():
    return json.loads(boost(rounds=6).save_raw("json"))


def edited(document, path, value):
    copy = json.loads(json.dumps(document))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(copy).encode()


@pytest.mark.parametrize("parameters", [{}, {"booster": "dart", "rate_drop": 0.5}])
def test_json_and_ubjson_give_the_same_arrays(parameters):
    booster = boost(rounds=8, **parameters)
    a, b = (trees_from_xgboost(booster.save_raw(form)) for form in ("json", "ubj"))
    assert a.intercept == b.intercept
    for name, array in a.trees.as_dict().items():
        np.testing.assert_array_equal(array, b.trees.as_dict()[name])


def test_early_stopping_keeps_the_rounds_up_to_the_best():
    x, y = training_rows()
    train, valid = xgboost.DMatrix(x[:3000], y[:3000]), xgboost.DMatrix(x[3000:], y[3000:])
    settings = {"objective": "count:poisson", "eta": 0.9, "max_depth": 8}
    booster = xgboost.train(
        settings, train, 60, evals=[(valid, "valid")], early_stopping_rounds=3, verbose_eval=False
    )
    rounds = booster.best_iteration + 1
    assert rounds < booster.num_boosted_rounds()
    assert trees_from_xgboost(booster.save_raw("json")).trees.n_trees == rounds
    assert trees_from_xgboost(booster.save_raw("json"), iterations=2).trees.n_trees == 2


def test_a_round_of_a_forest_counts_all_its_trees():
    booster = boost(rounds=4, num_parallel_tree=3, subsample=0.5)
    assert trees_from_xgboost(booster.save_raw("json"), iterations=2).trees.n_trees == 6


def test_more_rounds_than_there_are_is_refused(document):
    with pytest.raises(ModelFormatError, match="99 rounds asked for, it has 6"):
        trees_from_xgboost(json.dumps(document).encode(), iterations=99)


@pytest.mark.parametrize("text", ["5E-1", "[5E-1]", "0.5"])
def test_base_score_is_a_scalar_before_3_1_and_a_vector_since(document, text):
    raw = edited(document, ["learner", "learner_model_param", "base_score"], text)
    assert trees_from_xgboost(raw).intercept == pytest.approx(np.log(0.5), rel=1e-6)


BASE_SCORES = {"log": [0.3, 2.5], "logit": [0.3, 0.9], "identity": [0.0, -1.5, 0.3, 0.5]}


def fitted_by_objective(objective, base_score):
    x, y = training_rows(rows=600)
    if OBJECTIVES[objective][0] == "multinomial":
        y = np.minimum(y, 2)
    elif OBJECTIVES[objective][0] == "binomial":
        y = np.minimum(y, 1)
    elif OBJECTIVES[objective][0] == "gamma":
        y = y + 0.5
    settings = {"objective": objective, "max_depth": 3, "nthread": 1}
    settings |= {"num_class": 3} if OBJECTIVES[objective][0] == "multinomial" else {}
    settings |= {} if base_score is None else {"base_score": base_score}
    return x, xgboost.train(settings, xgboost.DMatrix(x, y), 4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_known_scores_and_responds_as_xgboost(objective):
    """With the base score estimated, and with given ones; of logitraw, it is the margin itself."""
    names = [f"x{k}" for k in range(6)]
    for base_score in [None, *BASE_SCORES.get(OBJECTIVES[objective][1], [0.3])]:
        x, booster = fitted_by_objective(objective, base_score)
        model = import_model(bytes(booster.save_raw("ubj")), "m", "claims", features=names)
        scorer, rows = Scorer(model), xgboost.DMatrix(x)
        margin = booster.predict(rows, output_margin=True)
        np.testing.assert_array_equal(scorer.raw(columns_of(x)).astype(np.float32), margin)
        if objective != "multi:softmax":  # it predicts a class
            expected = booster.predict(rows)
            np.testing.assert_allclose(scorer.response(columns_of(x)), expected, 2e-6)


def test_rounds_kept_are_told_of_those_in_the_file():
    """A best_iteration that is stale, for training went on after it, keeps two rounds of seven."""
    booster = boost(rounds=7)
    assert trees_from_xgboost(booster.save_raw("json")).rounds == (7, 7)
    booster.set_attr(best_iteration="1")
    assert trees_from_xgboost(booster.save_raw("json")).rounds == (2, 7)
    assert trees_from_xgboost(booster.save_raw("json"), iterations=5).rounds == (5, 7)
    model = import_model(bytes(booster.save_raw("ubj")), "m", "claims", features=list("abcdef"))
    assert model.manifest.training == {"rounds_kept": 2, "rounds_in_file": 7}


TREES = ["learner", "gradient_booster", "model", "trees"]
UNSUPPORTED = {
    "objective 'rank:pairwise'": (["learner", "objective", "name"], "rank:pairwise"),
    "objective 'custom'": (["learner", "objective", "name"], "custom"),
    "booster 'gblinear'": (["learner", "gradient_booster", "name"], "gblinear"),
    "3 outputs": (["learner", "learner_model_param", "num_class"], "3"),
    "1 outputs that are not classes": (["learner", "objective", "name"], "multi:softprob"),
    "2 outputs": (["learner", "learner_model_param", "num_target"], "2"),
    "2 base scores": (["learner", "learner_model_param", "base_score"], "[1,2]"),
}


@pytest.mark.parametrize("said", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_its_name(document, said):
    with pytest.raises(ModelNotSupportedError, match=said):
        trees_from_xgboost(edited(document, *UNSUPPORTED[said]))


DAMAGED = {
    "a child out of range": ([*TREES, 0, "left_children", 0], 10**6),
    "a cycle": ([*TREES, 0, "left_children", 2], 1),
    "the root as a child": ([*TREES, 0, "right_children", 0], 0),
    "an unknown feature": ([*TREES, 0, "split_indices", 0], 77),
    "arrays of different sizes": ([*TREES, 0, "split_indices"], [0]),
    "text for a number": ([*TREES, 0, "split_conditions", 0], "x"),
    "a NaN threshold": ([*TREES, 0, "split_conditions", 0], float("nan")),
    "no base score": (["learner", "learner_model_param", "base_score"], "[]"),
    "a negative base score": (["learner", "learner_model_param", "base_score"], "-1"),
    "no trees": (TREES, []),
    "trees of another kind": (TREES, 7),
    "no learner": (["learner"], None),
    "another parent": ([*TREES, 0, "parents", 1], 2),
    "a tree of another class": ([*TREES[:-1], "tree_info", 1], 255),
    "a number for a table": (["learner", "learner_model_param"], 1.5),
    "a set of a split that has none": ([*TREES, 1, "categories_nodes"], [0]),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_document_is_refused(document, case):
    with pytest.raises((ModelFormatError, ModelNotSupportedError)):
        trees_from_xgboost(edited(document, *DAMAGED[case]))


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_truncated_document_is_refused(form):
    raw = bytes(boost(rounds=3).save_raw(form))
    for size in [0, 1, 2, 10, len(raw) // 3, len(raw) // 2, len(raw) - 1]:
        with pytest.raises(ModelFormatError):
            trees_from_xgboost(raw[:size])


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_flipped_bytes_are_refused_or_harmless(form):
    raw = bytes(boost(rounds=3).save_raw(form))
    rng = np.random.default_rng(4)
    for _ in range(150):
        damaged = bytearray(raw)
        damaged[rng.integers(0, len(raw))] = rng.integers(0, 256)
        with contextlib.suppress(ModelFormatError, ModelNotSupportedError):
            trees_from_xgboost(damaged)
