"""Read the trees of LightGBM's text: one block of lines per tree."""

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import CategorySets, joined_sets
from kyros_spark.model.importers.lightgbm_facts import check_tree
from kyros_spark.model.importers.lightgbm_splits import Splits
from kyros_spark.model.importers.lightgbm_text import Block, numbers_of, whole

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
    if whole(block.get("is_linear", "0"), "is_linear"):
        raise ModelNotSupportedError(f"LightGBM model: tree {number} is a linear tree")
    leaves = whole(block["num_leaves"], "num_leaves")
    if leaves < 1:
        raise ModelFormatError(f"LightGBM model: tree {number} has {leaves} leaves")
    value = numbers_of(number, block, "leaf_value", np.float64, leaves)
    feature, threshold, decision, left, right = (
        numbers_of(number, block, name, kind, leaves - 1) for name, kind in SPLIT_COLUMNS.items()
    )
    if (decision < 0).any() or (decision > 11).any():
        raise ModelFormatError(f"LightGBM model: tree {number}: decision_type {decision.max()}")
    sets = _sets(number, block)
    check_tree(number, block, leaves, threshold[decision & 1 == 1], sets.other_right.size)
    cover = _covers(number, block, leaves)
    return Splits(feature, threshold, decision, left, right, value, sets, cover)


def _covers(number: int, block: Block, leaves: int) -> np.ndarray | None:
    """Read the counts of rows at the splits, then at the leaves; old texts may lack them."""
    if leaves == 1:  # its text has no count; any number is as good, as nothing is divided
        return np.ones(1)
    if "internal_count" not in block or "leaf_count" not in block:
        return None
    sizes = {"internal_count": leaves - 1, "leaf_count": leaves}
    counts = [numbers_of(number, block, name, np.float64, size) for name, size in sizes.items()]
    return np.concatenate(counts)


def _sets(number: int, block: Block) -> CategorySets:
    """Read a tree's category sets: words of 32 bits, where a bit of 1 means left."""
    count = whole(block.get("num_cat", "0"), "num_cat")
    if count <= 0:
        return joined_sets([], [])
    borders = numbers_of(number, block, "cat_boundaries", np.int64, count + 1)
    words = numbers_of(number, block, "cat_threshold", np.int64, int(borders[-1]))
    ascending = borders[0] == 0 and (borders[1:] >= borders[:-1]).all()
    if not ascending or (words.size and (words.min() < 0 or words.max() >> 32)):
        raise ModelFormatError(f"LightGBM model: tree {number}: damaged category sets")
    left = words.astype("<u4").view(np.uint8)
    return CategorySets(start=4 * borders, bits=~left, other_right=np.ones(count, np.uint8))
