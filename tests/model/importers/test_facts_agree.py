"""A model file that states a fact twice, and differently, is refused, whatever its library does."""

import json
import re

import numpy as np
import pytest

from benchmarks.fuzz_models_subjects import (
    MLLIB_FACTS,
    MLLIB_TREE_FACTS,
    MODELS,
    NAMES,
    mllib_rows,
    own_model,
    write_mllib,
)
from kyros_spark.errors import KyrosError, ModelFormatError
from kyros_spark.model.artefact import read_model
from kyros_spark.model.importers.lightgbm_text import numbers_of
from kyros_spark.model.importers.recognise import import_model


def refused(source, **options):
    with pytest.raises(ModelFormatError):
        import_model(source, "m", "claims", **options)


@pytest.fixture(scope="module")
def xgboost_text():
    return MODELS["xgboost-json"]()


BOOSTER = "learner.gradient_booster.model."
TREE = BOOSTER + "trees.1."
# Path -> the values that contradict the rest: of three trees, three features, a count, or a list.
XGBOOST = {
    BOOSTER + "iteration_indptr": [
        [], [0], [3], [1, 2, 3], [0, 1, 2], [0, 2, 1, 3], [0, 0, 3], [0, 1, 1, 3], [0, 1, 2, 3, 3],
        [0, 0.5, 2, 3], [-1, 1, 2, 3], [0, "1", 2, 3], [0, True, 2, 3], [0, 1, 2, 2**70], "0123",
    ],
    BOOSTER + "tree_info": [[0, 0], [0, 0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0.0, 0]],
    BOOSTER + "gbtree_model_param.num_trees": ["2", "4", 2, "3_0", " 3", "3.0"],
    TREE + "id": [0, 2, "x"],
    TREE + "tree_param.num_nodes": ["14", "16", "0"],
    TREE + "tree_param.num_feature": ["2", "4"],
    "learner.learner_model_param.num_feature": ["2", "4", "1_0"],
    "learner.feature_names": [["a", "b"], ["a", "b", "c", "d"], ["a", "b", 3]],
    "learner.feature_types": [["q", "q", "q"], ["c", "c", "q"], ["c", "q"]],
    **{TREE + name: ["shorter", "longer"] for name in (
        "parents", "left_children", "right_children", "split_type", "split_indices",
        "split_conditions", "default_left", "categories", "categories_nodes", "categories_sizes",
        "categories_segments", "base_weights", "loss_changes", "sum_hessian",
    )},
}  # fmt: skip


def put(document, path, value):
    *names, key = path.split(".")
    for name in names:
        document = document[int(name)] if isinstance(document, list) else document[name]
    old = document[key]
    other = {"shorter": lambda: old[:-1], "longer": lambda: old + old[-1:]}
    document[key] = other[value]() if value in ("shorter", "longer") else value


@pytest.mark.parametrize("path", XGBOOST)
def test_xgboost_s_statements_agree(xgboost_text, path):
    for value in XGBOOST[path]:
        document = json.loads(xgboost_text)
        put(document, path, value)
        refused(json.dumps(document).encode())


def test_numbers_of_another_kind_are_not_read_as_numbers(xgboost_text):
    """XGBoost refuses them; NumPy would convert text, cut fractions off and count truths."""
    for name in ("left_children", "split_indices", "parents", "categories"):
        for change in (str, lambda v: v + 0.5, lambda v: [v], lambda v: None, lambda v: v > 0):
            document = json.loads(xgboost_text)
            tree = document["learner"]["gradient_booster"]["model"]["trees"][1]
            tree[name] = [change(value) for value in tree[name]]
            refused(json.dumps(document).encode())


# A line of the text -> what takes its place; the sizes of the trees are left out.
LIGHTGBM = {
    "is_linear=0": ["end of trees"],
    "shrinkage=1": ["shrinkage=1\ntree", "shrinkage=1\nTree"],
    "max_feature_idx=2": ["max_feature_idx=1", "max_feature_idx=3", "max_feature_idx=0_2"],
    "feature_names=a b c": ["feature_names=a b", "feature_names=a b c d", "feature_names=a  b c"],
    "num_class=1": ["num_class=2", "num_class=0", "num_class=1\nnum_class=1"],
    "num_tree_per_iteration=1": ["num_tree_per_iteration=2"],
    r"feature_infos=(\S+) .*": [r"feature_infos=\1"],
    r"Tree=1": ["Tree=0", "Tree=2"],
    r"num_leaves=(\d+)": [r"num_leaves=1\1", "num_leaves=2", "num_leaves=-1"],
    r"num_cat=(\d+)": [r"num_cat=1\1", "num_cat=0"],
    **{rf"{name}=(\S+) (.*)": [rf"{name}=\2", rf"{name}=\1 \1 \2", rf"{name}=\1  \2"] for name in (
        "split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value",
        "leaf_count", "internal_count", "split_gain", "internal_value",
    )},
    r"left_child=(\S+) (.*)": [r"left_child=\1 1_0 \2", "left_child=٣"],
}  # fmt: skip


@pytest.mark.parametrize("line", LIGHTGBM)
def test_lightgbm_s_statements_agree(line):
    text = re.sub(r"\ntree_sizes=.*", "", MODELS["lightgbm"]().decode())
    assert import_model(text.encode(), "m", "claims")
    for other in LIGHTGBM[line]:
        changed, count = re.subn(rf"(?m)^{line}$", other, text, count=1)
        assert count and changed != text, other
        with pytest.raises(KyrosError):  # some are models of a kind not taken
            import_model(changed.encode(), "m", "claims")


def test_a_long_list_with_one_wrong_number_is_refused_without_trying_its_parts():
    """Each number can be read in one way; with two ways each, this would never end."""
    line = " ".join(["1234567890"] * 5000)
    block = {"leaf_count": f"{line} 12x"}
    with pytest.raises(ModelFormatError, match="leaf_count"):
        numbers_of(0, block, "leaf_count", np.float64, 5001)


def onnx_changes():
    import onnx

    def attribute(model, name):
        return next(a for n in model.graph.node for a in n.attribute if a.name == name)

    def repeated(entries):
        entries.append(entries[0])

    def metadata(model, text):
        entry = model.metadata_props.add()
        entry.key, entry.value = "feature_names", text

    def tensor(model):
        entry = model.graph.initializer.add()
        entry.CopyFrom(onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [2], [1.0, 2.0]))
        return entry

    def in_two_lists(model):
        tensor(model).raw_data = b"\0" * 8

    def of_another_shape(model):
        tensor(model).dims[0] = 3

    def of_negative_shape(model):
        tensor(model).dims[0] = -1

    def of_another_type(model):
        tensor(model).data_type = onnx.TensorProto.DOUBLE

    lists = ("nodes_treeids", "nodes_featureids", "nodes_truenodeids", "target_ids")
    return {
        **{f"longer {name}": lambda m, name=name: attribute(m, name).ints.append(0)
           for name in lists},
        "longer nodes_values": lambda m: attribute(m, "nodes_values").floats.append(0),
        "longer nodes_modes": lambda m: attribute(m, "nodes_modes").strings.append(b"LEAF"),
        "longer target_weights": lambda m: attribute(m, "target_weights").floats.append(0),
        "a type that the value has not": lambda m: setattr(attribute(m, "nodes_values"), "type", 7),
        "two values of one attribute": lambda m: attribute(m, "nodes_values").ints.append(1),
        "an attribute twice": lambda m: repeated(m.graph.node[0].attribute),
        "a node twice": lambda m: repeated(m.graph.node),
        "an output twice": lambda m: repeated(m.graph.output),
        "two names for three columns": lambda m: metadata(m, "a,b"),
        "a node that is its own descendant": lambda m: attribute(
            m, "nodes_truenodeids"
        ).ints.__setitem__(1, 0),
        "a target beyond the targets": lambda m: attribute(m, "target_ids").ints.__setitem__(0, 1),
        "a tensor in two lists": in_two_lists,
        "a tensor of another shape": of_another_shape,
        "a tensor of a negative shape": of_negative_shape,
        "a tensor of another type": of_another_type,
    }  # fmt: skip


@pytest.mark.parametrize("what", list(onnx_changes()) if MODELS else [])
def test_onnx_s_statements_agree(what):
    import onnx

    model = onnx.load_from_string(MODELS["onnx"]())
    assert import_model(model.SerializeToString(), "m", "claims", features=NAMES)
    onnx_changes()[what](model)
    refused(model.SerializeToString(), features=NAMES)


def test_an_onnx_message_that_occurs_twice_is_refused():
    """Other readers merge two graphs, or take the last of two numbers."""
    data = MODELS["onnx"]()
    for second in (data, b"\x12\x01x\x12\x01y", b"\x3a\x00"):
        refused(data + second, features=NAMES)


MLLIB = {
    "numTrees": lambda facts, trees, rows: facts.update(numTrees=3),
    "the parameter numTrees": lambda facts, trees, rows: facts.update(paramMap={"numTrees": 3}),
    "numFeatures": lambda facts, trees, rows: facts.update(numFeatures=2),
    "a fraction of features": lambda facts, trees, rows: facts.update(numFeatures=3.0),
    "a tree's numFeatures": lambda facts, trees, rows: trees[1].update(
        _2=json.dumps(MLLIB_TREE_FACTS | {"numFeatures": 2})
    ),
    "a tree's id": lambda facts, trees, rows: trees[1].update(_1=0),
    "a tree too many": lambda facts, trees, rows: trees.append(trees[0] | {"_1": 2}),
    "a feature of five categories and of six": lambda facts, trees, rows: rows[5]["nodeData"][
        "split"
    ].update(numCategories=6),
    "a node with one child": lambda facts, trees, rows: rows[0]["nodeData"].update(rightChild=-1),
    "a node twice": lambda facts, trees, rows: rows[1]["nodeData"].update(id=0),
    "a node without a feature": lambda facts, trees, rows: rows[0]["nodeData"]["split"].update(
        featureIndex=None
    ),
    "a leaf without a prediction": lambda facts, trees, rows: rows[4]["nodeData"].update(
        prediction=None
    ),
}


@pytest.mark.parametrize("what", [None, *MLLIB])
def test_mllib_s_statements_agree(tmp_path, what):
    facts, rows = json.loads(json.dumps(MLLIB_FACTS)), mllib_rows()
    trees = [{"_1": k, "_2": json.dumps(MLLIB_TREE_FACTS), "_3": 1.0} for k in (0, 1)]
    if what is not None:
        MLLIB[what](facts, trees, rows)
    write_mllib(tmp_path, json.dumps(facts).encode(), rows, trees)
    if what is None:
        assert import_model(tmp_path, "m", "y", features=NAMES).arrays["leaf_value"].size == 6
    else:
        refused(tmp_path, features=NAMES)


def twice(text):
    """Return JSON in which the last object's first key occurs twice."""
    return re.sub(r'\{("[^"]+"): ', r"{\1: 0, \1: ", text, count=1)


def test_a_key_that_occurs_twice_is_refused_in_every_json(tmp_path, xgboost_text):
    refused(twice(json.dumps(json.loads(xgboost_text))).encode())
    lightgbm = MODELS["lightgbm"]().decode() + '\npandas_categorical:[[{"a": 1, "a": 2}]]\n'
    refused(lightgbm.encode())
    write_mllib(tmp_path, twice(json.dumps(MLLIB_FACTS)).encode(), mllib_rows(), [])
    refused(tmp_path, features=NAMES)
    own = own_model()
    length = int.from_bytes(own[:8], "little")
    header = twice(own[8 : 8 + length].decode()).encode()
    with pytest.raises(ModelFormatError, match="occurs twice"):
        read_model(len(header).to_bytes(8, "little") + header + own[8 + length :])


def test_a_whole_model_of_each_format_is_still_taken():
    for form, make in MODELS.items():
        options = {"features": NAMES} if form == "onnx" else {}
        assert np.isfinite(import_model(make(), "m", "y", **options).arrays["leaf_value"]).all()
