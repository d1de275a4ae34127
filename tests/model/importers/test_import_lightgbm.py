"""LightGBM's text gives LightGBM's raw scores, bit for bit, or is refused by name."""

import contextlib
import re

import numpy as np
import pytest

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, UsageError
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.importers.lightgbm import OBJECTIVES
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, columns_of, training_rows

lightgbm = pytest.importorskip("lightgbm")
ZERO = float(np.float32(1e-35))
NAMES = [f"x{k}" for k in range(6)]


def boosted(rounds=30, missing=0.1, **parameters):
    x, y = training_rows(missing=missing)
    x = np.where(np.abs(x) < 0.3, 0.0, x)  # zeros, for zero_as_missing to mean something
    objective = parameters.get("objective", "poisson")
    if objective in ("binary", "cross_entropy"):
        y = (y > 0).astype(np.float32)
    if objective.startswith("multiclass"):
        y = np.minimum(y, 2)
    if objective == "gamma":
        y = y + 0.5
    settings = {"objective": "poisson", "num_leaves": 31, "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(x.astype(np.float64), y, feature_name=NAMES)
    return lightgbm.train(settings | parameters, data, rounds)


def edited(text, **lines):
    """Replace lines of every tree, and leave out the sizes, by which LightGBM finds the trees."""
    text = re.sub("\ntree_sizes=.*", "", text)
    for key, value in lines.items():
        text = re.sub(f"(?<=\n{key}=)(.*)", value, text)
    return text


def imported(booster, **options):
    text = booster if isinstance(booster, str) else booster.model_to_string()
    return import_model(text.encode(), "m", "claims", **options)


def odd_rows(model, rows=20_000):
    """Rows of the model's own cuts and every odd float, and those around LightGBM's zero."""
    with np.errstate(over="ignore"):
        found = adversarial_rows(model.arrays, rows).astype(np.float64)
    near = np.array([ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), 5e-324, -5e-324])
    rng = np.random.default_rng(1)
    mask = rng.random(found.shape) < 0.2
    found[mask] = near[rng.integers(0, near.size, int(mask.sum()))]
    return found


def assert_same_raw(booster, model):
    rows = odd_rows(model)
    expected = booster.predict(rows, raw_score=True)
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_known_scores_and_responds_as_lightgbm(objective):
    classes = {"num_class": 3} if objective.startswith("multiclass") else {}
    booster = boosted(objective=objective, **classes)
    model = read_model(model_to_bytes(imported(booster)))
    assert (model.manifest.family, model.manifest.link) == OBJECTIVES[objective]
    assert_same_raw(booster, model)
    rows = odd_rows(model, 3000)
    np.testing.assert_allclose(
        Scorer(model).response(columns_of(rows)), booster.predict(rows), rtol=1e-14
    )


MISSING = [
    {"use_missing": False},
    {"zero_as_missing": True},
    {"missing": 0.0},
    {"missing": 0.0, "zero_as_missing": True},
    {"missing": 0.5},
]


@pytest.mark.parametrize("parameters", MISSING, ids=str)
def test_every_missing_type_sends_missing_values_and_zeros_where_lightgbm_does(parameters):
    booster = boosted(rounds=40, **parameters)
    assert_same_raw(booster, imported(booster))


def test_every_decision_type_at_thresholds_around_zero():
    """One split of every kind: thresholds on, beside and inside LightGBM's zero."""
    steps = [0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), 1e-40, -1e-40]
    text = boosted(rounds=1, num_leaves=2).model_to_string()
    for threshold in [*steps, 1.5, -1.5, 1e308, -1e308, 1.7976931348623157e308, np.inf, -np.inf]:
        for decision in (0, 2, 4, 6, 8, 10):
            one = edited(text, threshold=str(float(threshold)), decision_type=str(decision))
            assert_same_raw(lightgbm.Booster(model_str=one), imported(one))


def test_deep_trees_with_mixed_missing_types():
    booster = boosted(rounds=12, num_leaves=200, min_data_in_leaf=2, missing=0.2)
    assert_same_raw(booster, imported(booster))
    text = booster.model_to_string()
    rng = np.random.default_rng(2)

    def shuffled(match):
        count = len(match[1].split())
        return " ".join(map(str, rng.choice([0, 2, 4, 6, 8, 10], count)))

    mixed = edited(text, decision_type=shuffled)
    assert_same_raw(lightgbm.Booster(model_str=mixed), imported(mixed))


def test_a_sigmoid_parameter_multiplies_the_raw_score():
    booster = boosted(objective="binary", sigmoid=0.7)
    model = imported(booster)
    assert_same_raw(booster, model)
    rows = odd_rows(model, 3000)
    found = Scorer(model).response(columns_of(rows))
    np.testing.assert_allclose(found, booster.predict(rows), rtol=1e-13)


@pytest.mark.parametrize("objective", ["regression", "poisson", "binary"])
def test_averaged_output_is_the_sum_divided_by_the_rounds(objective):
    """LightGBM's raw_score leaves the sum undivided; what it predicts is of the quotient."""
    settings = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    booster = boosted(rounds=25, objective=objective, **settings)
    model = imported(booster)
    rows = odd_rows(model)
    quotient = booster.predict(rows, raw_score=True) / booster.num_trees()
    np.testing.assert_array_equal(Scorer(model).raw(columns_of(rows)), quotient)
    found = Scorer(model).response(columns_of(rows))
    rtol = 0 if objective == "regression" else 1e-14
    np.testing.assert_allclose(found, booster.predict(rows), rtol=rtol)


def test_dart_weights_are_in_the_leaves_already():
    booster = boosted(rounds=20, boosting="dart", drop_rate=0.5)
    assert_same_raw(booster, imported(booster))


def test_early_stopped_iterations_are_those_the_saver_kept():
    booster = boosted(rounds=20)
    booster.best_iteration = 7
    model = imported(booster)
    assert model.arrays["tree_start"].size - 1 == booster.best_iteration
    assert model.manifest.training == {"rounds_kept": 7, "rounds_in_file": 7}
    assert_same_raw(booster, model)
    shorter = imported(booster, iterations=2)
    assert shorter.manifest.training == {"rounds_kept": 2, "rounds_in_file": 7}
    rows = odd_rows(shorter)
    expected = booster.predict(rows, raw_score=True, num_iteration=2)
    np.testing.assert_array_equal(Scorer(shorter).raw(columns_of(rows)), expected)


def test_trees_of_a_single_leaf_and_unused_features():
    x, y = training_rows()
    data = lightgbm.Dataset(np.round(x[:, :2]), y)
    settings = {"objective": "poisson", "verbose": -1, "min_data_in_leaf": 3000}
    booster = lightgbm.train(settings, data, 3)
    assert_same_raw(booster, imported(booster, features=["a", "b"]))


def test_names_come_from_the_file_and_must_be_given_where_it_has_none():
    assert [f.name for f in imported(boosted(rounds=2)).manifest.features] == NAMES
    with pytest.raises(UsageError, match="the file names them"):
        imported(boosted(rounds=2), features=list("abcdef"))
    x, y = training_rows()
    settings = {"objective": "poisson", "verbose": -1}
    nameless = lightgbm.train(settings, lightgbm.Dataset(x, y), 2).model_to_string()
    with pytest.raises(UsageError, match="expected names for its 6 features"):
        imported(nameless)


UNSUPPORTED = {
    "3 outputs": ("num_tree_per_iteration=1", "num_tree_per_iteration=3"),
    "objective 'lambdarank'": ("objective=poisson", "objective=lambdarank"),
    "objective 'multiclass'": ("objective=poisson", "objective=multiclass num_class:1"),
    "a custom one": ("objective=poisson\n", ""),
    "reg_sqrt": ("objective=poisson", "objective=regression sqrt"),
    "tree 0 is a linear tree": ("is_linear=0", "is_linear=1"),
}


@pytest.mark.parametrize("said", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_its_name(said):
    text = boosted(rounds=2).model_to_string()
    assert UNSUPPORTED[said][0] in text
    with pytest.raises(ModelNotSupportedError, match=said):
        imported(text.replace(*UNSUPPORTED[said]))


def test_the_librarys_own_linear_models_are_refused():
    x, y = training_rows(missing=0.0)
    base = {"objective": "regression", "verbose": -1}
    linear = lightgbm.train(
        base | {"linear_tree": True}, lightgbm.Dataset(x, y, params={"linear_tree": True}), 2
    )
    with pytest.raises(ModelNotSupportedError, match="linear"):
        imported(linear, features=NAMES)


DAMAGED = {
    "a tree elsewhere than said": (
        lambda t: re.sub("tree_sizes=\\d", "tree_sizes=9", t),
        "tree_sizes",
    ),
    "a tree without its line": (lambda t: edited(t).replace("Tree=1\n", ""), "tree 0"),
    "trees out of order": (lambda t: edited(t).replace("Tree=1\n", "Tree=2\n"), "tree 1"),
    "an empty line in a tree": (
        lambda t: edited(t).replace("\nleaf_value", "\n\nleaf_value"),
        "empty",
    ),
    "a line twice": (lambda t: edited(t).replace("\nnum_cat=0", "\nnum_cat=0\nnum_cat=0"), "twice"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_text_that_lightgbm_would_read_in_another_way_is_refused(case):
    damage, said = DAMAGED[case]
    text = boosted(rounds=3).model_to_string()
    assert damage(text) != text
    with pytest.raises(ModelFormatError, match=said):
        imported(damage(text))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9])
def test_a_truncated_text_is_refused(share):
    text = boosted(rounds=3).model_to_string()
    end = text.index("end of trees")
    with pytest.raises(ModelFormatError):
        imported(text[: int(end * share)])


def test_flipped_bytes_are_refused_or_give_lightgbms_score_form():
    text = boosted(rounds=3).model_to_string().encode()
    rng = np.random.default_rng(4)
    for _ in range(300):
        damaged = bytearray(text)
        damaged[rng.integers(0, text.index(b"end of trees"))] = rng.integers(0, 256)
        with contextlib.suppress(ModelFormatError, ModelNotSupportedError, UsageError):
            model = import_model(bytes(damaged), "m", "claims", features=None)
            Scorer(model).raw([np.zeros(64)] * len(model.manifest.features))
