"""Read the nodes of an XGBoost document's trees, and check that each tree agrees with itself."""

from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.xgboost_categories import category_sets_of
from kyros_spark.model.trees import RawNodes


def xgboost_nodes(trees: list[dict[str, Any]], weights: np.ndarray | None) -> RawNodes:
    """Concatenate the trees' node arrays.

    weights  float32[trees]: factors of a dart booster's trees, multiplied into their leaves

    Raises ModelFormatError for arrays that contradict each other, ModelNotSupportedError for
    vectors at leaves.
    """
    for number, tree in enumerate(trees):
        _check_tree(number, tree)

    def joined(name: str, dtype: type) -> np.ndarray:
        parts: list[np.ndarray] = [np.asarray(tree[name], dtype) for tree in trees]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    sizes = [len(tree["left_children"]) for tree in trees]
    conditions = joined("split_conditions", np.float32)
    values = conditions
    if weights is not None:
        values = conditions * np.repeat(weights[: len(trees)], sizes)
    sets, set_number = category_sets_of(trees)
    return RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        left=joined("left_children", np.int32),
        right=joined("right_children", np.int32),
        feature=joined("split_indices", np.int64),
        threshold=conditions,
        missing_left=joined("default_left", np.uint8),
        value=values,
        sets=sets,
        set_number=set_number,
        cover=joined("sum_hessian", np.float32) if _have_covers(trees, sizes) else None,
    )


def _have_covers(trees: list[dict[str, Any]], sizes: list[int]) -> bool:
    """Say whether every tree has its sums of hessians, which scoring does not need."""
    return all(
        len(tree.get("sum_hessian", ())) == size for tree, size in zip(trees, sizes, strict=True)
    )


def _check_tree(number: int, tree: dict[str, Any]) -> None:
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise ModelNotSupportedError(f"XGBoost model: tree {number} has vector leaves")
    columns = ("left_children", "right_children", "split_indices", "split_conditions")
    sizes = {name: len(tree[name]) for name in (*columns, "default_left")}
    if len(set(sizes.values())) != 1:
        raise ModelFormatError(f"XGBoost model: tree {number}: arrays of sizes {sizes}")
    _check_parents(number, tree)


def _check_parents(number: int, tree: dict[str, Any]) -> None:
    """Refuse a tree whose children and parents differ: the library uses the parents, too."""
    if "parents" not in tree:
        return
    parents = np.asarray(tree["parents"], np.int64)
    for name in ("left_children", "right_children"):
        child = np.asarray(tree[name], np.int64)
        split = np.flatnonzero(child >= 0)
        inside = child[split] < parents.size
        if not inside.all() or (parents[child[split]] != split).any():
            raise ModelFormatError(f"XGBoost model: tree {number}: {name} against parents")
