"""Lay tree arrays out as the attributes of ONNX's tree operators."""

from __future__ import annotations

from typing import Any

import numpy as np

LESS = 1  # BRANCH_LT by its number in ai.onnx.ml 5
SUM, NONE = 1, 0  # of its aggregate functions and post transforms

Arrays = dict[str, np.ndarray]


def tree_attributes(arrays: Arrays, base: float) -> dict[str, Any]:
    """Return the attributes of a TreeEnsembleRegressor: a tree's splits, then its leaves."""
    starts = arrays["tree_start"]
    splits = np.diff(starts)
    sizes = 2 * splits + 1
    tree = np.repeat(np.arange(splits.size), sizes)
    node = np.arange(tree.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_split = node < splits[tree]
    of_split = np.repeat(np.arange(splits.size), splits)

    def spread(values: Any, dtype: type) -> np.ndarray:
        whole: np.ndarray = np.zeros(tree.size, dtype)
        whole[is_split] = values
        return whole

    def child(name: str) -> np.ndarray:
        number = arrays[name]
        return np.where(number >= 0, number, splits[of_split] + ~number)

    value, feature = _questions(arrays)
    modes = np.where(is_split, "BRANCH_LT", "LEAF")
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_featureids": spread(feature, np.int64).tolist(),
        "nodes_values": spread(value, np.float32).tolist(),
        "nodes_modes": modes.tolist(),
        "nodes_truenodeids": spread(child("split_left"), np.int64).tolist(),
        "nodes_falsenodeids": spread(child("split_right"), np.int64).tolist(),
        "nodes_missing_value_tracks_true": spread(arrays["split_missing_left"], np.int64).tolist(),
        "target_treeids": tree[~is_split].tolist(),
        "target_nodeids": node[~is_split].tolist(),
        "target_ids": [0] * int((~is_split).sum()),
        "target_weights": arrays["leaf_value"].tolist(),
        "n_targets": 1,
        "base_values": [base],
        "post_transform": "NONE",
    }


def tree_attributes_of_opset_5(arrays: Arrays) -> dict[str, Any]:
    """Return the attributes of a TreeEnsemble in float64, which numbers splits and leaves apart.

    A tree that is one leaf becomes a split with that leaf on both sides, since a root is a split.
    """
    from onnx import numpy_helper

    arrays = _with_a_split_each(arrays)
    starts = arrays["tree_start"]
    tree = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    value, feature = _questions(arrays)
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


def _questions(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return each split's threshold and feature."""
    cut, starts = arrays["split_cut"], arrays["cut_start"]
    return arrays["cut_value"][cut], np.searchsorted(starts, cut, side="right") - 1


def _with_a_split_each(arrays: Arrays) -> Arrays:
    starts = arrays["tree_start"]
    bare = np.flatnonzero(np.diff(starts) == 0)
    if not bare.size:
        return arrays
    cuts, at = arrays["cut_value"], starts[bare]
    cut_value = cuts if cuts.size else np.zeros(1, cuts.dtype)
    cut_start = arrays["cut_start"].copy()
    if not cuts.size:
        cut_start[1:] = 1
    leaf = at + bare
    new = {
        name: np.insert(arrays[name], at, value)
        for name, value in (
            ("split_cut", 0), ("split_missing_left", 0), ("split_left", ~0), ("split_right", ~1)
        )
    }  # fmt: skip
    more = np.concatenate([[0], np.cumsum(np.diff(starts) == 0)])
    return {
        **arrays,
        **new,
        "cut_value": cut_value,
        "cut_start": cut_start,
        "tree_start": starts + more,
        "leaf_value": np.insert(arrays["leaf_value"], leaf, arrays["leaf_value"][leaf]),
    }
