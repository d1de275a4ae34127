"""Read XGBoost's splits by categories and, from version 3.1 on, the categories' names.

A split sends the categories that it lists right, and everything else left: other categories,
negative values, and values of 2**24 and above. A missing value goes to the default side. The
one-hot form lists one category.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import MAX_CATEGORIES, NO_SET, CategorySets, sets_of
from kyros_spark.model.importers.document_numbers import whole_numbers
from kyros_spark.model.importers.growth import refuse_growth
from kyros_spark.model.importers.imported import level_names

CATEGORICAL = 1


def category_sets_of(
    trees: list[dict[str, Any]], file_bytes: int
) -> tuple[CategorySets, np.ndarray]:
    """Return all trees' sets, and each node's set number or NO_SET (int64[nodes of all trees]).

    file_bytes  the document's size: a list of one large category becomes a large set

    Raises ModelFormatError for damaged lists, ModelNotSupportedError for sets out of proportion.
    """
    lists: list[np.ndarray] = []
    numbers = []
    for tree_number, tree in enumerate(trees):
        number = np.full(len(tree["left_children"]), NO_SET)
        nodes = whole_numbers(tree.get("categories_nodes", ()), _label(tree_number))
        _check(tree_number, tree, nodes, number.size)
        number[nodes] = len(lists) + np.arange(nodes.size)
        lists += _lists(tree_number, tree, nodes.size)
        numbers.append(number)
    sizes = (int(categories.max(initial=0)) // 8 for categories in lists)
    refuse_growth("XGBoost", "category sets", sum(sizes), file_bytes)
    sets = sets_of(lists, listed_right=True, other_right=False)
    return sets, np.concatenate(numbers) if numbers else np.zeros(0, np.int64)


def _check(tree_number: int, tree: dict[str, Any], nodes: np.ndarray, size: int) -> None:
    kinds = np.zeros(size, np.int64)
    if "split_type" in tree:
        kinds = whole_numbers(tree["split_type"], _label(tree_number), (0, CATEGORICAL))
    inside = bool(((nodes >= 0) & (nodes < size)).all()) and kinds.size == size
    marked = np.flatnonzero(kinds == CATEGORICAL) if inside else nodes
    if not inside or not np.array_equal(marked, nodes):
        raise ModelFormatError(f"{_label(tree_number)}: damaged")


def _lists(tree_number: int, tree: dict[str, Any], count: int) -> list[np.ndarray]:
    if not count and "categories" not in tree:
        return []
    start, size, values = (
        whole_numbers(tree[f"categories{name}"], _label(tree_number), (0, MAX_CATEGORIES - 1))
        for name in ("_segments", "_sizes", "")
    )
    # The lists lie end to end: each starts where the one before it ends.
    ends = np.cumsum(size)
    lies_end_to_end = np.array_equal(start, ends - size) and values.size == size.sum()
    if start.size != count or size.size != count or not lies_end_to_end or (size < 1).any():
        raise ModelFormatError(f"{_label(tree_number)}: damaged")
    return np.split(values, ends[:-1]) if count else []


def _label(tree_number: int) -> str:
    return f"XGBoost model: tree {tree_number}: category sets"


def category_names(cats: dict[str, Any]) -> dict[int, tuple[str, ...]]:
    """Return the levels of the features whose categories have names, by feature number."""
    levels = {}
    for feature, encoding in enumerate(cats.get("enc", ())):
        names = _names(feature, encoding)
        if names:
            levels[feature] = level_names("XGBoost", feature, names)
    return levels


def _names(feature: int, encoding: dict[str, Any]) -> list[Any]:
    label, values = f"XGBoost model: feature {feature}: categories", encoding["values"]
    kinds = {values.dtype.kind} if isinstance(values, np.ndarray) else {*map(type, values)}
    if kinds & {"f", float}:
        raise ModelNotSupportedError(f"{label} are fractions")
    if "offsets" not in encoding:
        names: list[int] = whole_numbers(values, label).tolist()
        return names
    offsets = whole_numbers(encoding["offsets"], label).tolist()
    content = whole_numbers(values, label, (-128, 255)).astype(np.uint8).tobytes()
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
