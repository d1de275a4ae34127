"""Models carry their nodes' covers, whichever library counted them; unsound ones are refused."""

import json

import numpy as np
import pytest

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.model.outputs import trees_by_output
from kyros_spark.model.trees import RawNodes, trees_from_nodes
from kyros_spark.scoring.bundle import bundle, groups
from tests.scoring.boosters import boost, columns_of, model_of, training_rows

NAMES = ["a", "b", "c", "d", "e", "f"]


def roots(model):
    starts = model.arrays["tree_start"]
    return model.arrays["split_cover"][starts[:-1][np.diff(starts) > 0]]


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_xgboosts_are_its_sums_of_hessians(form):
    booster = boost(3, max_depth=4)
    raw = booster.save_raw(form)
    model = import_model(bytes(raw), "m", "claims", features=NAMES)
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    for name, kind in (("split_cover", 1), ("leaf_cover", 0)):
        expected = [
            cover
            for tree in trees
            for cover, left in zip(tree["sum_hessian"], tree["left_children"], strict=True)
            if (left >= 0) == kind
        ]
        np.testing.assert_allclose(np.sort(model.arrays[name]), np.sort(np.float32(expected)))


def test_lightgbms_are_its_counts_of_rows():
    lightgbm = pytest.importorskip("lightgbm")
    x, y = training_rows(900)
    settings = {"objective": "poisson", "verbose": -1, "num_leaves": 8, "num_threads": 1}
    text = lightgbm.train(settings, lightgbm.Dataset(x, y), 3).model_to_string()
    model = import_model(text.encode(), "m", "claims", features=NAMES)
    assert roots(model).tolist() == [900, 900, 900]
    without = "\n".join(line for line in text.splitlines() if not line.startswith("leaf_count"))
    without = "\n".join(line for line in without.splitlines() if not line.startswith("tree_sizes"))
    assert "leaf_cover" not in import_model(without.encode(), "m", "claims", features=NAMES).arrays


def test_a_lightgbm_tree_whose_branches_were_written_twice_has_none():
    lightgbm = pytest.importorskip("lightgbm")
    x, y = training_rows(900)
    x[np.abs(x) < 0.3] = 0
    settings = {"objective": "poisson", "verbose": -1, "num_threads": 1, "zero_as_missing": True}
    text = lightgbm.train(settings, lightgbm.Dataset(x, y), 5).model_to_string()
    assert "leaf_cover" not in import_model(text.encode(), "m", "claims", features=NAMES).arrays


STATISTICS = {
    "DecisionTreeRegressionModel": ([[100.0, 5, 9], [30, 1, 2], [70, 4, 7]], [100, 30, 70]),
    "DecisionTreeClassificationModel": ([[60.0, 40], [10, 20], [50, 20]], [100, 30, 70]),
}


@pytest.mark.parametrize("kind", STATISTICS)
def test_mllibs_are_its_weights_of_rows(kind, tmp_path):
    """A folder as MLlib writes it: a regression's statistics are count, sum and sum of squares."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    statistics, expected = STATISTICS[kind]
    leaf = {"featureIndex": -1, "leftCategoriesOrThreshold": [], "numCategories": -1}
    split = {"featureIndex": 1, "leftCategoriesOrThreshold": [0.25], "numCategories": -1}
    nodes = [
        {"id": number, "prediction": float(number % 2), "impurity": 0.0, "gain": 0.0,
         "impurityStats": statistics[number], "leftChild": 1 if number == 0 else -1,
         "rightChild": 2 if number == 0 else -1, "split": leaf if number else split}
        for number in range(3)
    ]  # fmt: skip
    family = "classification" if "Class" in kind else "regression"
    facts = {"class": f"org.apache.spark.ml.{family}.{kind}", "sparkVersion": "4.1.0"}
    facts |= {"paramMap": {}, "defaultParamMap": {}, "numFeatures": 3, "numClasses": 2}
    for part in ("metadata", "data"):
        (tmp_path / part).mkdir()
    (tmp_path / "metadata" / "part-00000").write_text(json.dumps(facts))
    parquet.write_table(pyarrow.Table.from_pylist(nodes), tmp_path / "data" / "part-0.parquet")
    arrays = import_model(tmp_path, "m", "y", features=["a", "b", "c"]).arrays
    assert [*arrays["split_cover"], *arrays["leaf_cover"]] == expected


def test_onnx_has_them_where_its_hit_rates_add_up():
    onnx = pytest.importorskip("onnx")
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.tree import DecisionTreeRegressor

    x, y = training_rows(300, missing=0.0)
    tree = DecisionTreeRegressor(max_depth=3, random_state=0).fit(x, y)
    converted = skl2onnx.to_onnx(tree, x[:1])
    data = converted.SerializeToString()
    assert "leaf_cover" not in import_model(data, "m", "y", features=NAMES).arrays  # all are 1
    for attribute in converted.graph.node[0].attribute:
        if attribute.name == "nodes_hitrates":
            attribute.CopyFrom(
                onnx.helper.make_attribute(
                    "nodes_hitrates", tree.tree_.n_node_samples.astype(float)
                )
            )
    model = import_model(converted.SerializeToString(), "m", "y", features=NAMES)
    assert roots(model).tolist() == [300]
    leaves = tree.tree_.n_node_samples[tree.tree_.children_left < 0]
    assert sorted(model.arrays["leaf_cover"]) == sorted(leaves)


def nodes(cover, values=(0.0, 1.0, 2.0)):
    value = np.array(values)
    return RawNodes(
        tree_start=np.array([0, 3]), left=np.array([1, -1, -1]), right=np.array([2, -1, -1]),
        feature=np.array([0, -1, -1]), threshold=np.zeros(3), missing_left=np.zeros(3, np.uint8),
        value=value, cover=np.array(cover, np.float64),
    )  # fmt: skip


@pytest.mark.parametrize(
    "cover", [[3, 1, 1], [0, 0, 0], [3, -1, 4], [np.nan, 1, 2], [np.inf, np.inf, 1], [3, 3, 3]]
)
def test_a_librarys_unsound_covers_are_left_out_and_the_model_still_scores(cover, caplog):
    assert trees_from_nodes(nodes(cover), 1).covers == {}
    assert "covers are left out" in caplog.text


def test_copies_of_a_tree_for_several_outputs_keep_its_covers():
    trees = trees_from_nodes(nodes([5, 2, 3], [(0, 0), (1, 2), (3, 4)]), 1)
    copies, _ = trees_by_output(trees)
    assert copies.covers["split_cover"].tolist() == [5, 5]
    assert copies.covers["leaf_cover"].tolist() == [2, 3, 2, 3]


def change(name, make):
    return lambda arrays: {**arrays, name: make(arrays[name])}


def at(number, value):
    def make(array):
        array = array.copy()
        array[number] = value
        return array

    return make


HOSTILE = {
    "a NaN": change("leaf_cover", at(0, np.nan)),
    "infinity": change("split_cover", at(0, np.inf)),
    "below zero": change("leaf_cover", at(0, -1.0)),
    "an empty root": change("split_cover", lambda array: array * 0),
    "children of more than their parent": change("leaf_cover", lambda array: array * 2),
    "too few": change("leaf_cover", lambda array: array[1:]),
    "too many": change("split_cover", lambda array: np.append(array, 1.0)),
    "float32": change("leaf_cover", lambda array: array.astype(np.float32)),
    "two dimensions": change("leaf_cover", lambda array: array[None]),
    "of leaves alone": lambda arrays: {k: v for k, v in arrays.items() if k != "split_cover"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_unsound_covers_in_our_own_file_are_refused(case):
    model = model_of(boost(3, max_depth=3))
    with pytest.raises(ModelFormatError, match="_cover|arrays"), np.errstate(all="ignore"):
        model_to_bytes(Model(model.manifest, HOSTILE[case](model.arrays)))


def test_covers_survive_the_file_and_an_earlier_format_has_none():
    model = model_of(boost(3, max_depth=3))
    stored = read_model(model_to_bytes(model))
    np.testing.assert_array_equal(stored.arrays["leaf_cover"], model.arrays["leaf_cover"])
    earlier = model.manifest.model_copy(update={"format_version": 3})
    with pytest.raises(ModelFormatError, match="format_version: 3 has no covers"):
        model_to_bytes(Model(earlier, model.arrays))


def test_models_with_and_without_covers_share_a_bundle():
    model = model_of(boost(3, max_depth=3))
    bare = {name: array for name, array in model.arrays.items() if "cover" not in name}
    models = [model, Model(model.manifest, bare)]
    assert groups(models) == [[0, 1]]
    assert "leaf_cover" not in bundle(models, [range(6)] * 2).arrays
    assert columns_of(np.zeros((1, 2)))[0].tolist() == [0]
