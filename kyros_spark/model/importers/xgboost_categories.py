"""Read XGBoost's splits by categories and, from version 3.1 on, the categories' names.

A split sends the categories that it lists right, and everything else left: other categories,
negative values, and values of 2**24 and above. A missing value goes to the default side. The
one-hot form lists one category.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import NO_SET, CategorySets, sets_of
from kyros_spark.model.importers.imported import level_names

CATEGORICAL = 1


def category_sets_of(trees: list[dict[str, Any]]) -> tuple[CategorySets, np.ndarray]:
    """Return all trees' sets, and each node's set number or NO_SET (int64[nodes of all trees])."""
    lists: list[np.ndarray] = []
    numbers = []
    for tree_number, tree in enumerate(trees):
        number = np.full(len(tree["left_children"]), NO_SET)
        nodes = np.asarray(tree.get("categories_nodes", ()), np.int64)
        _check(tree_number, tree, nodes, number.size)
        number[nodes] = len(lists) + np.arange(nodes.size)
        lists += _lists(tree_number, tree, nodes.size)
        numbers.append(number)
    sets = sets_of(lists, listed_right=True, other_right=False)
    return sets, np.concatenate(numbers) if numbers else np.zeros(0, np.int64)


def _check(tree_number: int, tree: dict[str, Any], nodes: np.ndarray, size: int) -> None:
    kinds = np.asarray(tree.get("split_type", np.zeros(size)), np.int64)
    inside = bool(((nodes >= 0) & (nodes < size)).all()) and kinds.size == size
    marked = np.flatnonzero(kinds == CATEGORICAL) if inside else nodes
    if not inside or not np.array_equal(marked, nodes):
        raise ModelFormatError(f"XGBoost model: tree {tree_number}: damaged category sets")


def _lists(tree_number: int, tree: dict[str, Any], count: int) -> list[np.ndarray]:
    if not count:
        return []
    start, size, values = (
        np.asarray(tree[f"categories{name}"], np.int64) for name in ("_segments", "_sizes", "")
    )
    complete = start.size == count and size.size == count
    if not complete or (start < 0).any() or (size < 1).any() or (start + size > values.size).any():
        raise ModelFormatError(f"XGBoost model: tree {tree_number}: damaged category sets")
    return [values[first : first + length] for first, length in zip(start, size, strict=True)]


def category_names(cats: dict[str, Any]) -> dict[int, tuple[str, ...]]:
    """Return the levels of the features whose categories have names, by feature number."""
    levels = {}
    for feature, encoding in enumerate(cats.get("enc", ())):
        names = _names(feature, encoding)
        if names:
            levels[feature] = level_names("XGBoost", feature, names)
    return levels


def _names(feature: int, encoding: dict[str, Any]) -> list[Any]:
    values = np.asarray(encoding["values"])
    if values.size and values.dtype.kind not in "iu":
        raise ModelNotSupportedError(f"XGBoost model: feature {feature}: categories are fractions")
    if "offsets" not in encoding:
        return [int(value) for value in values]
    offsets = [int(offset) for offset in encoding["offsets"]]
    content = values.astype(np.uint8).tobytes()
    if offsets and (offsets[0] != 0 or sorted(offsets) != offsets or offsets[-1] != len(content)):
        raise ModelFormatError(f"XGBoost model: feature {feature}: damaged category names")
    if not content.isascii():
        # Version 3.2 counts characters as bytes when names come from pandas: a name is cut short,
        # its end starts the next name, the last one is lost, and nothing in the file shows it.
        raise ModelNotSupportedError(
            f"XGBoost model: feature {feature}: category names beyond ASCII, which XGBoost stores "
            "shifted against each other; fit on ASCII names, or on category numbers"
        )
    return [content[first:last].decode() for first, last in pairwise(offsets)]
