"""ONNX's own forms of tree ensembles, written by hand: opsets 1, 3 and 5, all modes; and damage."""

import contextlib

import numpy as np
import pytest
from sklearn import linear_model

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, UsageError
from kyros_spark.scoring.scorer import Scorer

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from tests.model.importers.test_import_onnx import assert_same, converted, imported, training  # noqa: E402


def ensemble_of(
    modes,
    tracks=(0, 0),
    transform="NONE",
    aggregate="SUM",
    base=None,
    ids=(0, 1),
    kind=1,
    **tensors,
):
    """Two stumps on features 0 and 1, in the form of opsets 1 and 3, their trees numbered `ids`."""
    attributes = {
        "nodes_treeids": [ids[0]] * 3 + [ids[1]] * 3,
        "nodes_nodeids": [0, 1, 2] * 2,
        "nodes_featureids": [0, 0, 0, 1, 0, 0],
        "nodes_modes": [modes[0], "LEAF", "LEAF", modes[1], "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0, -1.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0, 2, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 1, 0, 0],
        "nodes_missing_value_tracks_true": [tracks[0], 0, 0, tracks[1], 0, 0],
        "target_treeids": [ids[0]] * 2 + [ids[1]] * 2,
        "target_nodeids": [1, 2] * 2,
        "target_ids": [0] * 4,
        "target_weights": [0.1, 0.7, 0.3, -1.25],
        "n_targets": 1,
        "post_transform": transform,
        "aggregate_function": aggregate,
    }
    if base is not None:
        attributes["base_values"] = [base]
    for name in tensors:
        attributes.pop(name.removesuffix("_as_tensor"), None)
    return saved("TreeEnsembleRegressor", attributes | tensors, 3, kind=kind)


def saved(operator, attributes, opset, width=4, kind=1):
    helper = onnx.helper
    node = helper.make_node(operator, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    x = helper.make_tensor_value_info("x", kind, [None, width])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("ai.onnx.ml", opset), helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]


@pytest.mark.parametrize("tracks", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("mode", MODES)
def test_branch_modes_and_missing_values(mode, tracks):
    assert_same(ensemble_of((mode, mode), tracks))
    assert_same(ensemble_of((mode, "BRANCH_LEQ"), tracks))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
@pytest.mark.parametrize("base", [None, 0.25])
def test_aggregates_and_base_values(aggregate, base):
    data = ensemble_of(("BRANCH_LT", "BRANCH_GT"), aggregate=aggregate, base=base)
    assert_same(data)


def test_opset_3s_float64_tensors():
    tensor, double = onnx.helper.make_tensor, onnx.TensorProto.DOUBLE
    data = ensemble_of(
        ("BRANCH_LEQ", "BRANCH_GT"),
        kind=double,
        nodes_values_as_tensor=tensor("v", double, [6], [0.1, 0, 0, -1.0 / 3, 0, 0]),
        target_weights_as_tensor=tensor("w", double, [4], [0.1, 0.7, 0.3, -1.25]),
        base_values_as_tensor=tensor("b", double, [1], [1.0 / 3]),
    )
    assert_same(data)


def test_trees_may_be_numbered_in_any_order():
    assert_same(ensemble_of(("BRANCH_LT", "BRANCH_GT"), ids=(7, 3)))


def opset_5(modes=(0, 3), **changes):
    """The same two stumps and a tree of a single leaf, in opset 5's form."""
    tensor = onnx.helper.make_tensor
    attributes = {
        "tree_roots": [0, 1, 2],
        "nodes_featureids": [0, 1, 0],
        "nodes_modes": tensor("m", onnx.TensorProto.UINT8, [3], [*modes, 0]),
        "nodes_splits": tensor("s", onnx.TensorProto.FLOAT, [3], [0.5, -1.5, 0.0]),
        "nodes_truenodeids": [0, 3, 4],
        "nodes_trueleafs": [1, 1, 1],
        "nodes_falsenodeids": [1, 2, 4],
        "nodes_falseleafs": [1, 1, 1],
        "leaf_targetids": [0] * 5,
        "leaf_weights": tensor("w", onnx.TensorProto.FLOAT, [5], [0.1, 0.7, 0.3, -1.25, 0.4]),
        "n_targets": 1,
        "aggregate_function": 1,
        "post_transform": 0,
    }
    return saved("TreeEnsemble", attributes | changes, 5)


@pytest.mark.parametrize("mode", range(4))
def test_opset_5_tree_ensembles(mode):
    assert_same(opset_5((mode, mode)))


def classifier(transform, base=(), **changes):
    """Two stumps of three classes: a vector at some leaves, nothing for a class at others."""
    attributes = {
        "nodes_treeids": [0] * 3 + [1] * 3,
        "nodes_nodeids": [0, 1, 2] * 2,
        "nodes_featureids": [0, 0, 0, 1, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0, -1.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0, 2, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 1, 0, 0],
        "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0],
        "class_treeids": [0, 0, 0, 1, 1],
        "class_nodeids": [1, 1, 2, 1, 2],
        "class_ids": [0, 2, 1, 2, 2],
        "class_weights": [0.3, 0.2, 0.6, 0.5, -0.25],
        "classlabels_int64s": [3, 5, 9],
        "post_transform": transform,
    }
    if base:
        attributes["base_values"] = list(base)
    helper = onnx.helper
    node = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["l", "y"], domain="ai.onnx.ml", **(attributes | changes)
    )
    x = helper.make_tensor_value_info("x", 1, [None, 4])
    y = helper.make_tensor_value_info("y", 1, [None, 3])
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 20)]
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


@pytest.mark.parametrize("base", [(), (0.1, -0.2, 0.3)])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_classifiers_of_three_classes(transform, base):
    data = classifier(transform, base)
    model = imported(data)
    rows = np.array([[v, w, 0, 0] for v in (0.4, 0.6, np.nan) for w in (-2, -1, np.nan)], "f4")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": rows})
    found = Scorer(model).response([np.ascontiguousarray(column) for column in rows.T])
    np.testing.assert_allclose(found, expected, 3e-6, 1e-6)


def test_forms_of_classifiers_that_are_not_supported_are_refused():
    for said, data in {
        "SOFTMAX_ZERO": classifier("SOFTMAX_ZERO"),
        "2 base values, 3 classes": classifier("NONE", (0.1, 0.2)),
        "several weights on one leaf": classifier("NONE", class_ids=[0, 0, 1, 2, 2]),
        "index 7": classifier("NONE", class_ids=[0, 7, 1, 2, 2]),
        "twice|different labels": classifier("NONE", classlabels_int64s=[3, 3, 9]),
    }.items():
        with pytest.raises((ModelNotSupportedError, ModelFormatError), match=said):
            imported(data)


def test_thresholds_of_float64_decide_float32_values_as_in_float64():
    tensor = onnx.helper.make_tensor
    others = np.zeros(4)
    for split in (0.1, np.nextafter(0.1, 0), float(np.float32(0.1)), 1e300, -1e-300, np.inf):
        splits = tensor("s", onnx.TensorProto.DOUBLE, [3], [split, -1.5, 0.0])
        weights = tensor("w", onnx.TensorProto.DOUBLE, [5], [0.1, 0.7, 0.3, -1.25, 0.4])
        model = imported(opset_5((0, 1), nodes_splits=splits, leaf_weights=weights))
        near = np.float32(split) if abs(split) < 3e38 else np.float32(3.4e38)
        values = np.array(
            [near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9)), np.inf],
            np.float32,
        )
        expected = np.where(values.astype(np.float64) <= split, 0.1, 0.7) + 0.3 + 0.4
        found = Scorer(model).raw([values, others, others, others])
        np.testing.assert_allclose(found, expected)


def test_forms_that_are_not_supported_are_refused_by_name():
    for said, data in {
        "BRANCH_EQ": ensemble_of(("BRANCH_EQ", "BRANCH_LT")),
        "aggregate MAX": ensemble_of(("BRANCH_LT", "BRANCH_LT"), aggregate="MAX"),
        "post_transform PROBIT": ensemble_of(("BRANCH_LT", "BRANCH_LT"), transform="PROBIT"),
        "post_transform LOGISTIC": opset_5(post_transform=2),
        "BRANCH_NEQ": opset_5((0, 5)),
    }.items():
        with pytest.raises(ModelNotSupportedError, match=said):
            imported(data)


@pytest.mark.parametrize("form", ["regressor", "opset 5", "linear"])
def test_truncated_and_flipped_bytes_are_refused_or_harmless(form):
    x, y = training()
    data = {
        "regressor": ensemble_of(("BRANCH_LEQ", "BRANCH_GT")),
        "opset 5": opset_5(),
        "linear": converted(linear_model.PoissonRegressor().fit(x, y)),
    }[form]
    rng = np.random.default_rng(4)
    cases = [data[: int(len(data) * share)] for share in (0.1, 0.5, 0.9)]
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(0, len(data))] = rng.integers(0, 256)
        cases.append(bytes(damaged))
    for case in cases:
        with contextlib.suppress(ModelFormatError, ModelNotSupportedError, UsageError):
            model = imported(case)
            Scorer(model).raw([np.zeros(64)] * len(model.manifest.features))
