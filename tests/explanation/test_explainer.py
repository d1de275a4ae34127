"""Contributions add up to the score, are what the model's own library says, and Shapley's formula."""

import numpy as np
import pytest

from kyros_spark.errors import (
    CoversMissingError,
    DataContractError,
    KernelNotAvailableError,
    ModelNotSupportedError,
)
from kyros_spark.explanation import tree_explainer
from kyros_spark.explanation.covers import measured_covers
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.manifest import Feature
from kyros_spark.model.trees import RawNodes, trees_from_nodes
from kyros_spark.scoring.scorer import Scorer
from tests.explanation.subjects import (
    expectation,
    explained_by_lightgbm,
    explained_by_xgboost,
    lightgbm_model,
    onnx_model,
    rows_for,
    shapley,
    sums_of_leaves,
    without_covers,
    xgboost_model,
)
from tests.scoring.boosters import columns_of

MODELS = {
    "xgboost": lambda: xgboost_model()[1],
    "xgboost, depth 1": lambda: xgboost_model(depth=1)[1],
    "xgboost, deep": lambda: xgboost_model(3, depth=12, min_child_weight=0)[1],
    "xgboost, categories": lambda: xgboost_model(kind="c", max_cat_to_onehot=1)[1],
    "xgboost, classes": lambda: xgboost_model(objective="multi:softprob")[1],
    "xgboost, dart": lambda: xgboost_model(booster="dart", rate_drop=0.3, seed=1)[1],
    "lightgbm": lambda: lightgbm_model()[1],
    "lightgbm, leaf-wise": lambda: lightgbm_model(3, leaves=200, min_data_in_leaf=1)[1],
    "lightgbm, categories": lambda: lightgbm_model(categories=(0,))[1],
    "lightgbm, classes": lambda: lightgbm_model(objective="multiclass")[1],
    "lightgbm, forest": lambda: lightgbm_model(boosting="rf", bagging_freq=1, bagging_fraction=0.5)[
        1
    ],
    "onnx": lambda: onnx_model()[1],
}
FORMS = {"look-up": (12, 7, 0), "small look-ups and quadrature": (3,), "quadrature": (0,)}


@pytest.mark.repeats
@pytest.mark.parametrize("name", MODELS)
def test_contributions_add_up_and_are_the_same_in_every_form(name, monkeypatch):
    model = MODELS[name]()
    rows = rows_for(model, 530)  # more than a block of rows, and not a multiple of 8
    expected = Explainer(model, kernel="numpy").contributions(columns_of(rows))
    scale = np.abs(expected.values).sum(axis=2).max() + 1
    for limits in FORMS.values():
        monkeypatch.setattr(tree_explainer, "BIT_LIMITS", limits)
        ours = Explainer(model, kernel="portable").contributions(columns_of(rows))
        np.testing.assert_allclose(ours.values, expected.values, rtol=0, atol=1e-12 * scale)
    sums = (ours.base + ours.values.sum(axis=2))[:40]
    np.testing.assert_allclose(sums, sums_of_leaves(model, rows[:40]), rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize(
    "name", ["xgboost, categories", "lightgbm", "lightgbm, categories", "onnx"]
)
def test_contributions_are_shapleys_sum_over_all_subsets(name):
    model = MODELS[name]()
    arrays, rule, divisor = model.arrays, model.manifest.category_rule, model.manifest.divisor
    rows = rows_for(model, 2, seed=11)
    ours = Explainer(model).contributions(columns_of(rows))

    trees = range(arrays["tree_start"].size - 1)
    for row, values in zip(rows, ours.values[:, 0], strict=True):

        def worth(known, row=row):
            return sum(expectation(arrays, tree, row, known, rule) for tree in trees)

        expected = np.array(shapley(worth, range(6))) / divisor
        scale = np.abs(expected).max()
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * scale)
        base = (model.manifest.intercept + worth(frozenset())) / divisor
        assert ours.base[0] == pytest.approx(base, rel=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{}, {"depth": 12, "rounds": 3}, {"objective": "multi:softprob"}, {"kind": "c"},
     {"booster": "dart", "rate_drop": 0.3, "seed": 1}, {"objective": "binary:logistic"}],
)  # fmt: skip
def test_contributions_are_xgboosts(settings):
    booster, model = xgboost_model(**settings)
    rows = rows_for(model, 300)
    values, base = explained_by_xgboost(booster, rows, settings.get("kind", "q"))
    ours = Explainer(model).contributions(columns_of(rows))
    np.testing.assert_allclose(ours.values, values, rtol=0, atol=3e-6)
    np.testing.assert_allclose(ours.base, base, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    "settings",
    [{}, {"leaves": 200, "min_data_in_leaf": 1}, {"objective": "multiclass"}, {"categories": (0,)},
     {"objective": "binary", "sigmoid": 2.0}, {"boosting": "rf", "bagging_freq": 1,
     "bagging_fraction": 0.5}],
)  # fmt: skip
def test_contributions_are_lightgbms(settings):
    booster, model = lightgbm_model(**settings)
    rows = rows_for(model, 300)
    values, base = explained_by_lightgbm(booster, rows, max(len(model.manifest.outputs), 1))
    ours = Explainer(model).contributions(columns_of(rows))
    divisor = model.manifest.divisor  # LightGBM explains a forest's undivided sum
    np.testing.assert_allclose(ours.values * divisor, values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.base * divisor, base, rtol=0, atol=1e-10)


def test_a_model_without_covers_is_refused_with_what_to_do_and_measured():
    model = xgboost_model()[1]
    rows = rows_for(model, 500)
    with pytest.raises(CoversMissingError, match="measured_covers"):
        Explainer(without_covers(model))
    batches = [columns_of(rows[:200]), columns_of(rows[200:])]
    measured = measured_covers(without_covers(model), batches)
    assert measured.manifest.training["covers"] == {
        "source": "measured",
        "rows": 500,
        "weight": 500,
    }
    assert read_model(model_to_bytes(measured)).arrays["leaf_cover"].sum() == 500 * 8
    ours = Explainer(measured).contributions(columns_of(rows))
    assert ours.base == pytest.approx(Scorer(model).raw(columns_of(rows)).mean(), rel=1e-6)


def test_covers_are_weighted():
    model = xgboost_model(rounds=1, depth=1)[1]
    rows = rows_for(model, 100)
    weight = np.linspace(0, 3, 100)
    measured = measured_covers(model, [columns_of(rows)], [weight])
    leaves = sums_of_leaves(model, rows)[:, 0] - model.manifest.intercept
    first = np.isclose(leaves, model.arrays["leaf_value"][0])
    np.testing.assert_allclose(
        measured.arrays["leaf_cover"], [weight[first].sum(), weight[~first].sum()]
    )


@pytest.mark.parametrize(
    ("batches", "weights", "message"),
    [
        ([], None, "found 0 rows"),
        ([[np.zeros(3)] * 6], [np.zeros(3)], "weight 0"),
        ([[np.zeros(3)] * 6], [np.array([1, -1, 1])], "weights"),
        ([[np.zeros(3)] * 6], [np.array([1, np.nan, 1])], "weights"),
        ([[np.zeros(3)] * 6], [np.ones(2)], "weights"),
        ([[np.zeros(3)] * 6], [], "weights"),
        ([[np.zeros(3)] * 5], None, "expected 6 columns"),
    ],
)
def test_covers_are_not_measured_on_what_is_no_sample(batches, weights, message):
    with pytest.raises(DataContractError, match=message):
        measured_covers(xgboost_model()[1], batches, weights)


@pytest.mark.parametrize("kernel", ["numpy", "portable"])
def test_a_feature_that_no_split_uses_contributes_nothing(kernel):
    model = xgboost_model(rounds=1, depth=1)[1]
    values = Explainer(model, kernel).contributions(columns_of(rows_for(model, 50))).values
    assert (np.abs(values).max(axis=(0, 1)) > 0).sum() == 1


@pytest.mark.parametrize("kernel", ["numpy", "portable"])
def test_a_model_of_leaves_alone_has_only_a_base(kernel):
    model = xgboost_model(rounds=2, depth=2, gamma=1e9)[1]
    assert model.arrays["split_left"].size == 0
    ours = Explainer(model, kernel).contributions(columns_of(rows_for(model, 3)))
    assert not ours.values.any()
    assert ours.base == pytest.approx(sums_of_leaves(model, rows_for(model, 1))[0])


def test_batches_of_any_size_give_each_row_the_same():
    model = xgboost_model()[1]
    rows, explainer = rows_for(model, 5000), Explainer(xgboost_model()[1])
    whole = explainer.contributions(columns_of(rows)).values
    for count in (0, 1, 7, 511, 512, 513, 4097):
        part = explainer.contributions(columns_of(rows[:count]))
        assert part.values.shape == (count, 1, 6)
        np.testing.assert_array_equal(part.values, whole[:count])


def test_tables_are_bounded_and_the_least_is_named():
    model = xgboost_model(depth=6)[1]
    rows = rows_for(model, 100)
    free = Explainer(model)
    bounded = Explainer(model, max_table_bytes=60_000)
    assert free._engine.table_bytes > 60_000 >= bounded._engine.table_bytes
    a, b = (e.contributions(columns_of(rows)).values for e in (free, bounded))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)
    with pytest.raises(ModelNotSupportedError, match=r"takes \d+ bytes.*max_table_bytes"):
        Explainer(model, max_table_bytes=100)


def test_what_cannot_be_explained_is_named():
    model = xgboost_model()[1]
    with pytest.raises(KernelNotAvailableError, match="sse9"):
        Explainer(model, kernel="sse9")
    with pytest.raises(ModelNotSupportedError, match="reference terms"):
        Explainer(model, reference_terms=np.zeros(6))
    with pytest.raises(DataContractError, match="expected 6 columns"):
        Explainer(model).contributions([np.zeros(1)])


@pytest.mark.parametrize("features", [3, 80])
def test_a_chain_of_a_hundred_splits_is_explained_without_tables(features):
    """Split k sends a row on if feature k % features is below 50 - k / 2, and half of the cover."""
    depth, leaf = 100, np.arange(1, 200, 2)
    left, right = np.full(201, -1), np.full(201, -1)
    splits = np.arange(0, 200, 2)
    left[splits], right[splits] = splits + 2, leaf
    nodes = RawNodes(
        tree_start=np.array([0, 201]), left=left, right=np.where(left >= 0, right, -1),
        feature=np.arange(201) // 2 % features, threshold=50.0 - np.arange(201) / 4,
        missing_left=np.zeros(201, np.uint8), value=np.sin(np.arange(201.0)),
        cover=np.where(np.arange(201) % 2, 2.0 ** (99 - np.arange(201) // 2),
                       2.0 ** (100 - np.arange(201) // 2)),
    )  # fmt: skip
    manifest = xgboost_model()[1].manifest.model_copy(
        update={"features": tuple(Feature(name=f"x{k}") for k in range(features))}
    )
    model = Model(manifest, trees_from_nodes(nodes, features).as_dict())
    rows = np.random.default_rng(1).uniform(-60, 60, (70, features))
    explainer = Explainer(model)
    ours = explainer.contributions(columns_of(rows))
    assert explainer._engine.table_bytes == 0 and depth == explainer._engine._largest_tree()
    sums = (ours.base + ours.values.sum(axis=2))[:, 0]
    np.testing.assert_allclose(sums, sums_of_leaves(model, rows)[:, 0], rtol=0, atol=1e-12)
    slow = Explainer(model, kernel="numpy").contributions(columns_of(rows))
    np.testing.assert_allclose(ours.values, slow.values, rtol=0, atol=1e-12)
    with pytest.raises(ModelNotSupportedError, match="longer ones"):
        Explainer(model, background=columns_of(rows))
