"""Check what an XGBoost document states twice: counts, sizes and numbers must say the same.

XGBoost itself believes one of two statements, and not the same one everywhere. A document whose
statements differ is damaged, so it is refused rather than scored by either of them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.importers.document_numbers import whole_number, whole_numbers

Document = Mapping[str, Any]
# Of every node. XGBoost writes the first five's facts always, the others only since some version.
NODE_COLUMNS = (
    "left_children", "right_children", "split_indices", "split_conditions", "default_left",
)  # fmt: skip
OTHER_NODE_COLUMNS = ("parents", "split_type", "base_weights", "loss_changes", "sum_hessian")


def check_facts(learner: Document, model: Document, weights: np.ndarray | None) -> None:
    """Check the counts of a document against what is there.

    weights  float32: a dart booster's, which has one for each tree

    Raises ModelFormatError, which names both statements.
    """
    trees, parameters = model["trees"], learner["learner_model_param"]
    count = len(trees)
    _agree("gbtree_model_param.num_trees", model["gbtree_model_param"].get("num_trees"), count)
    if weights is not None:
        _agree("weight_drop's size", weights.size, count)
    n_features = whole_number(parameters["num_feature"], "XGBoost model: num_feature")
    for name in ("feature_names", "feature_types"):
        texts = learner.get(name, ())
        if texts and not all(isinstance(text, str) for text in texts):
            raise ModelFormatError(f"XGBoost model: {name}: expected a list of texts")
        _agree(f"{name}' size", len(texts) or None, n_features)
    softmax = learner["objective"].get("softmax_multiclass_param", {})
    _agree("softmax_multiclass_param.num_class", softmax.get("num_class"),
           parameters.get("num_class", 0))  # fmt: skip
    _agree("the categories' size", len(model.get("cats", {}).get("enc", ())) or None, n_features)
    for number, tree in enumerate(trees):
        _check_tree(number, tree, n_features)


def _check_tree(number: int, tree: Document, n_features: int) -> None:
    parameters, nodes = tree["tree_param"], len(tree["left_children"])
    _agree(f"tree {number}'s id", tree.get("id"), number)
    _agree(f"tree {number}'s num_nodes", parameters.get("num_nodes"), nodes)
    of_tree = whole_number(parameters.get("num_feature", 0), "XGBoost model: num_feature")
    _agree(f"tree {number}'s num_feature", of_tree or None, n_features)
    columns = (*NODE_COLUMNS, *(name for name in OTHER_NODE_COLUMNS if name in tree))
    for name in columns:
        _agree(f"tree {number}'s {name}' size", len(tree[name]), nodes)


def _agree(name: str, stated: Any, actual: Any) -> None:
    """Refuse a statement that differs; None states nothing."""
    if stated is None:
        return
    label = f"XGBoost model: {name}"
    expected = whole_number(actual, label)
    if whole_number(stated, label) != expected:
        raise ModelFormatError(f"{label}: expected {expected}, found {stated}")


def round_starts(model: Document, outputs: int) -> list[int]:
    """Return where each round's trees begin, and where the last one's end.

    outputs  how many trees a round has at least: one for each class

    A round may have parallel trees. Documents before XGBoost 2 do not list the starts.
    Raises ModelFormatError unless they begin at 0, rise, and end at the number of trees.
    """
    n_trees = len(model["trees"])
    if "iteration_indptr" not in model:
        stated = model["gbtree_model_param"].get("num_parallel_tree", 1)
        parallel = max(whole_number(stated, "XGBoost model: num_parallel_tree"), 1)
        starts = list(range(0, n_trees + 1, parallel * outputs))
    else:
        starts = whole_numbers(
            model["iteration_indptr"], "XGBoost model: iteration_indptr"
        ).tolist()
    sizes = [last - first for first, last in pairwise(starts)]
    rises = all(size > 0 and size % outputs == 0 for size in sizes)
    if not starts or starts[0] != 0 or starts[-1] != n_trees or not rises:
        raise ModelFormatError(
            "XGBoost model: iteration_indptr: expected starts of rounds that rise from 0 to "
            f"{n_trees}, the number of trees, in steps of {outputs}, found "
            f"{starts[:5]} ... {starts[-1:]}"
        )
    return starts


def tree_outputs(model: Document, outputs: int) -> np.ndarray:
    """Return the class that each tree belongs to (int64[trees]).

    Raises ModelFormatError unless there is one of 0 to outputs - 1 for each tree.
    """
    n_trees = len(model["trees"])
    stated: Sequence[int] = model.get("tree_info", [0] * n_trees)
    output = whole_numbers(stated, "XGBoost model: tree_info", (0, outputs - 1))
    if output.size != n_trees:
        raise ModelFormatError(
            f"XGBoost model: tree_info of {output.size} trees, there are {n_trees}"
        )
    return output
