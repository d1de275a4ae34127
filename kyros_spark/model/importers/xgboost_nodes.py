"""Read the nodes of an XGBoost document's trees, and check that each tree agrees with itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.document_numbers import (
    single_numbers,
    whole_number,
    whole_numbers,
)
from kyros_spark.model.importers.xgboost_categories import category_sets_of
from kyros_spark.model.trees import RawNodes

INT32 = (-(2**31), 2**31 - 1)
FLAGS = (0, 1)


def xgboost_nodes(
    trees: list[dict[str, Any]],
    weights: np.ndarray | None,
    feature_types: Sequence[str],
    file_bytes: int,
) -> RawNodes:
    """Concatenate the trees' node arrays.

    weights        float32[trees]: factors of a dart booster's trees, multiplied into their leaves
    feature_types  of each feature, "c" for a category; empty if the document does not say
    file_bytes     the document's size, which bounds that of the category sets

    Raises ModelFormatError for arrays that contradict each other, ModelNotSupportedError for
    vectors at leaves.
    """
    for number, tree in enumerate(trees):
        _check_tree(number, tree)

    def joined(name: str, limits: tuple[int, int]) -> np.ndarray:
        label = f"XGBoost model: {name}"
        return np.concatenate([whole_numbers(tree[name], label, limits) for tree in trees])

    sizes = [len(tree["left_children"]) for tree in trees]
    conditions = np.concatenate(
        [single_numbers(tree["split_conditions"], "XGBoost model: conditions") for tree in trees]
    )
    values = conditions
    if weights is not None:
        values = conditions * np.repeat(weights[: len(trees)], sizes)
    sets, set_number = category_sets_of(trees, file_bytes)
    left, feature = joined("left_children", INT32), joined("split_indices", INT32)
    if feature_types:
        _check_types(feature_types, feature[left >= 0], set_number[left >= 0] >= 0)
    return RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        left=left,
        right=joined("right_children", INT32),
        feature=feature,
        threshold=conditions,
        missing_left=np.concatenate([_flags(tree["default_left"]) for tree in trees]),
        value=values,
        sets=sets,
        set_number=set_number,
        cover=_covers(trees, sizes),
    )


def _covers(trees: list[dict[str, Any]], sizes: list[int]) -> np.ndarray | None:
    """Return the nodes' sums of hessians, which scoring does not need; None where a tree has none.

    Raises ModelFormatError for sums that are no numbers.
    """
    if any(len(tree.get("sum_hessian", ())) != n for tree, n in zip(trees, sizes, strict=True)):
        return None
    label = "XGBoost model: sum_hessian"
    sums = [single_numbers(tree["sum_hessian"], label) for tree in trees]
    return np.concatenate(sums).astype(np.float64)


def _flags(values: Any) -> np.ndarray:
    """Return flags as uint8; versions before 1.6 wrote true and false."""
    if isinstance(values, list) and {*map(type, values)} == {bool}:
        values = [int(value) for value in values]
    return whole_numbers(values, "XGBoost model: default_left", FLAGS).astype(np.uint8)


def _check_types(types: Sequence[str], feature: np.ndarray, by_set: np.ndarray) -> None:
    """Refuse a split by categories of a feature that has none, and any other of one that has.

    feature, by_set  [splits]: each split's feature, and whether it is by categories
    """
    is_category = np.array([kind == "c" for kind in types])
    is_there = (feature >= 0) & (feature < is_category.size)
    if (is_category[feature[is_there]] != by_set[is_there]).any():
        raise ModelFormatError("XGBoost model: a split of another kind than feature_types say")


def _check_tree(number: int, tree: dict[str, Any]) -> None:
    stated = tree["tree_param"].get("size_leaf_vector", 1)
    if whole_number(stated, "XGBoost model: size_leaf_vector") > 1:
        raise ModelNotSupportedError(f"XGBoost model: tree {number} has vector leaves")
    _check_parents(number, tree)


def _check_parents(number: int, tree: dict[str, Any]) -> None:
    """Refuse a tree whose children and parents differ: the library uses the parents, too."""
    left, right = (
        whole_numbers(tree[name], f"XGBoost model: tree {number}: {name}")
        for name in ("left_children", "right_children")
    )
    if ((left < 0) != (right < 0)).any():
        raise ModelFormatError(f"XGBoost model: tree {number}: a node with one child")
    if "parents" not in tree:
        return
    parents = whole_numbers(tree["parents"], f"XGBoost model: tree {number}: parents")
    split = np.flatnonzero(left >= 0)
    for child in (left[split], right[split]):
        inside = child < parents.size
        if not inside.all() or (parents[child] != split).any():
            raise ModelFormatError(f"XGBoost model: tree {number}: children against parents")
