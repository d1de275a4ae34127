"""Read the trees of LightGBM's text: one block of lines per tree."""

from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import CategorySets, joined_sets
from kyros_spark.model.importers.lightgbm_splits import Splits

Block = dict[str, str]

SPLIT_COLUMNS: dict[str, type] = {
    "split_feature": np.int64,
    "threshold": np.float64,
    "decision_type": np.int64,
    "left_child": np.int64,
    "right_child": np.int64,
}


def splits_of(number: int, block: Block) -> Splits:
    """Read one tree; the text of a tree of one leaf has no lines for splits.

    Raises ModelFormatError for a damaged block, ModelNotSupportedError for a linear tree.
    """
    if int(block.get("is_linear", "0")):
        raise ModelNotSupportedError(f"LightGBM model: tree {number} is a linear tree")
    leaves = int(block["num_leaves"])
    if leaves < 1:
        raise ModelFormatError(f"LightGBM model: tree {number} has {leaves} leaves")
    value = _numbers(number, block, "leaf_value", np.float64, leaves)
    feature, threshold, decision, left, right = (
        _numbers(number, block, name, kind, leaves - 1) for name, kind in SPLIT_COLUMNS.items()
    )
    if (decision < 0).any() or (decision > 11).any():
        raise ModelFormatError(f"LightGBM model: tree {number}: decision_type {decision.max()}")
    sets = _sets(number, block)
    set_index = threshold[decision & 1 == 1]
    if set_index.size and not ((set_index >= 0) & (set_index < sets.other_right.size)).all():
        raise ModelFormatError(f"LightGBM model: tree {number}: a category set that is not there")
    cover = _covers(number, block, leaves)
    return Splits(feature, threshold, decision, left, right, value, sets, cover)


def _covers(number: int, block: Block, leaves: int) -> np.ndarray | None:
    """Read the counts of rows at the splits, then at the leaves; old texts may lack them."""
    if leaves == 1:  # its text has no count; any number is as good, as nothing is divided
        return np.ones(1)
    if "internal_count" not in block or "leaf_count" not in block:
        return None
    sizes = {"internal_count": leaves - 1, "leaf_count": leaves}
    counts = [_numbers(number, block, name, np.float64, size) for name, size in sizes.items()]
    return np.concatenate(counts)


def _sets(number: int, block: Block) -> CategorySets:
    """Read a tree's category sets: words of 32 bits, where a bit of 1 means left."""
    count = int(block.get("num_cat", "0"))
    if count <= 0:
        return joined_sets([], [])
    borders = _numbers(number, block, "cat_boundaries", np.int64, count + 1)
    words = _numbers(number, block, "cat_threshold", np.int64, int(borders[-1]))
    ascending = borders[0] == 0 and (borders[1:] >= borders[:-1]).all()
    if not ascending or (words.size and (words.min() < 0 or words.max() >> 32)):
        raise ModelFormatError(f"LightGBM model: tree {number}: damaged category sets")
    left = words.astype("<u4").view(np.uint8)
    return CategorySets(start=4 * borders, bits=~left, other_right=np.ones(count, np.uint8))


def _numbers(tree: int, block: Block, name: str, kind: type, size: int) -> np.ndarray:
    parse: Any = float if kind is np.float64 else int
    values = [parse(word) for word in block.get(name, "").split()] if size else []
    if len(values) != size:
        mismatch = f"expected {size} values of {name}, found {len(values)}"
        raise ModelFormatError(f"LightGBM model: tree {tree}: {mismatch}")
    return np.array(values, kind)
