"""Lay tree arrays out as the attributes of ONNX's tree operators."""

from __future__ import annotations

from typing import Any

import numpy as np

LESS = 1  # the number of BRANCH_LT in ai.onnx.ml 5
SUM, NONE = 1, 0  # the numbers of its aggregate function SUM and its post transform NONE

Arrays = dict[str, np.ndarray]


def tree_attributes(arrays: Arrays, base: float) -> dict[str, Any]:
    """Return the attributes of a TreeEnsembleRegressor: each tree's splits, then its leaves.

    base  the value that the sum starts from, on the scale of the link
    """
    starts = arrays["tree_start"]
    splits = np.diff(starts)
    sizes = 2 * splits + 1
    tree = np.repeat(np.arange(splits.size), sizes)
    node = np.arange(tree.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_split = node < splits[tree]
    tree_of_split = np.repeat(np.arange(splits.size), splits)

    def per_node(values: Any, dtype: type) -> np.ndarray:
        node_values: np.ndarray = np.zeros(tree.size, dtype)
        node_values[is_split] = values
        return node_values

    def child(name: str) -> np.ndarray:
        number = arrays[name]
        return np.where(number >= 0, number, splits[tree_of_split] + ~number)

    value, feature = _thresholds_and_features(arrays)
    modes = np.where(is_split, "BRANCH_LT", "LEAF")
    missing_left = arrays["split_missing_left"]
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_featureids": per_node(feature, np.int64).tolist(),
        "nodes_values": per_node(value, np.float32).tolist(),
        "nodes_modes": modes.tolist(),
        "nodes_truenodeids": per_node(child("split_left"), np.int64).tolist(),
        "nodes_falsenodeids": per_node(child("split_right"), np.int64).tolist(),
        "nodes_missing_value_tracks_true": per_node(missing_left, np.int64).tolist(),
        "target_treeids": tree[~is_split].tolist(),
        "target_nodeids": node[~is_split].tolist(),
        "target_ids": [0] * int((~is_split).sum()),
        "target_weights": arrays["leaf_value"].tolist(),
        "n_targets": 1,
        "base_values": [base],
        "post_transform": "NONE",
    }


def tree_attributes_of_opset_5(arrays: Arrays) -> dict[str, Any]:
    """Return the attributes of a float64 TreeEnsemble, which numbers splits and leaves separately.

    A root must be a split there: a tree of one leaf becomes a split with that leaf on both sides.
    """
    from onnx import numpy_helper

    arrays = _with_a_split_per_tree(arrays)
    starts = arrays["tree_start"]
    tree = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    value, feature = _thresholds_and_features(arrays)
    sides: dict[str, list[int]] = {}
    for side, name in (("true", "split_left"), ("false", "split_right")):
        number = arrays[name].astype(np.int64)
        leaf = starts[tree] + tree + ~number
        sides[f"nodes_{side}leafs"] = (number < 0).astype(int).tolist()
        sides[f"nodes_{side}nodeids"] = np.where(number < 0, leaf, starts[tree] + number).tolist()
    missing = arrays["split_missing_left"].astype(int).tolist()
    return {
        "tree_roots": starts[:-1].tolist(),
        "nodes_featureids": feature.tolist(),
        "nodes_splits": numpy_helper.from_array(value.astype(np.float64)),
        "nodes_modes": numpy_helper.from_array(np.full(value.size, LESS, np.uint8)),
        "nodes_missing_value_tracks_true": missing,
        "leaf_targetids": [0] * arrays["leaf_value"].size,
        "leaf_weights": numpy_helper.from_array(arrays["leaf_value"].astype(np.float64)),
        "n_targets": 1,
        "aggregate_function": SUM,
        "post_transform": NONE,
        **sides,
    }


def _thresholds_and_features(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return each split's threshold (float32 or float64) and its feature (int64)."""
    cut, starts = arrays["split_cut"], arrays["cut_start"]
    return arrays["cut_value"][cut], np.searchsorted(starts, cut, side="right") - 1


def _with_a_split_per_tree(arrays: Arrays) -> Arrays:
    """Put a split above the leaf of every tree that has no split."""
    starts = arrays["tree_start"]
    bare_trees = np.flatnonzero(np.diff(starts) == 0)
    if not bare_trees.size:
        return arrays
    cuts, positions = arrays["cut_value"], starts[bare_trees]
    cut_value = cuts if cuts.size else np.zeros(1, cuts.dtype)
    cut_start = arrays["cut_start"].copy()
    if not cuts.size:
        cut_start[1:] = 1
    leaf = positions + bare_trees
    splits = {
        name: np.insert(arrays[name], positions, value)
        for name, value in (
            ("split_cut", 0), ("split_missing_left", 0), ("split_left", ~0), ("split_right", ~1)
        )
    }  # fmt: skip
    n_added = np.concatenate([[0], np.cumsum(np.diff(starts) == 0)])
    return {
        **arrays,
        **splits,
        "cut_value": cut_value,
        "cut_start": cut_start,
        "tree_start": starts + n_added,
        "leaf_value": np.insert(arrays["leaf_value"], leaf, arrays["leaf_value"][leaf]),
    }
