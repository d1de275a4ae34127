"""Lay out a tree model's trees the way the kernels read them, as bytes that a host stores."""

import numpy as np
from safetensors.numpy import save

from kyros_spark.kernels.sliced import MAX_LEAVES
from kyros_spark.kernels.walk import (
    COLUMN_SHIFT,
    LEAF_THRESHOLD,
    SHIFT_SHIFT,
    THRESHOLD_SHIFT,
)
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.category_columns import build_set_columns
from kyros_spark.scoring.cut_columns import Arrays, build_columns, build_tests

TABLES_VERSION = 3  # increase with every change of layout: hosts then rebuild their tables
LEAF_BYTE_SIZES = np.array([64, 256])


def build_tables(model: Model) -> Arrays:
    """Return the kernels' tables; a linear model needs only its own arrays, so it has none."""
    return build_tree_tables(model.arrays) if model.manifest.kind == "trees" else {}


def tables_to_bytes(model: Model) -> bytes:
    """Return the kernels' tables as one safetensors file."""
    return save(build_tables(model))


def build_tree_tables(model: Arrays) -> Arrays:
    """Return all that the kernels read of a tree model except `tree_start` and `leaf_value`."""
    splits = np.diff(model["tree_start"])
    small = splits < MAX_LEAVES
    column, threshold, shift = build_tests(model)
    tests = column << 16 | threshold << 8 | shift
    return {
        "tests": tests.astype(np.uint32),
        "slots": _slots(model, splits),
        **build_columns(model),
        **(build_set_columns(model) if "set_feature" in model else {}),
        **_leaf_bytes(model, splits, small),
        **_nodes(model, splits, small, column, threshold, shift),
    }


def _slots(model: Arrays, splits: np.ndarray) -> np.ndarray:
    """Return each split's children as slots of kernels/sliced.py; meaningless for large trees."""
    root = np.repeat(splits + 1, splits)
    slot = [
        np.where(child >= 0, root + child, ~child).astype(np.uint32) & np.uint32(0xFFFF)
        for child in (model["split_left"].astype(np.int64), model["split_right"].astype(np.int64))
    ]
    return slot[0] | slot[1] << np.uint32(16)


def _leaf_bytes(model: Arrays, splits: np.ndarray, small: np.ndarray) -> Arrays:
    """Lay out small trees' leaf values by significance, as kernels/leaf_bytes.py reads them."""
    value = model["leaf_value"]
    size = value.dtype.itemsize
    padded = LEAF_BYTE_SIZES[np.searchsorted(LEAF_BYTE_SIZES, splits[small] + 1)]
    lengths = np.zeros(splits.size, np.int64)
    lengths[small] = padded * size
    start = np.concatenate([[0], np.cumsum(lengths)])
    tree = np.repeat(np.arange(splits.size), splits + 1)
    leaf = np.arange(value.size) - (model["tree_start"][tree] + tree)
    in_small = small[tree]
    content = np.zeros(start[-1], np.uint8)
    value_bytes = value.view(np.uint8).reshape(-1, size)[in_small]
    width = lengths[tree[in_small]] // size
    for byte in range(size):
        content[start[tree[in_small]] + byte * width + leaf[in_small]] = value_bytes[:, byte]
    return {"byte_start": start, "leaf_bytes": content}


def _nodes(
    model: Arrays,
    splits: np.ndarray,
    small: np.ndarray,
    column: np.ndarray,
    threshold: np.ndarray,
    shift: np.ndarray,
) -> Arrays:
    """Lay out large trees' nodes as kernels/walk.py reads them.

    The children of a tree's split s are the nodes 2s + 1 and 2s + 2 after its root.
    """
    tree_start = model["tree_start"]
    large_splits = np.where(small, 0, splits)
    n_nodes = np.where(small, 0, 2 * splits + 1)
    roots = np.cumsum(n_nodes) - n_nodes
    tree = np.repeat(np.arange(splits.size), large_splits)
    split = np.arange(tree.size) - np.repeat(np.cumsum(large_splits) - large_splits, large_splits)
    source = tree_start[tree] + split
    first_child = roots[tree] + 2 * split + 1
    total = int(n_nodes.sum())
    node_of_split = np.zeros(tree_start[-1], np.int64)
    node_of_split[tree_start[:-1][~small]] = roots[~small]
    values = np.zeros(total, model["leaf_value"].dtype)
    for side, name in enumerate(("split_left", "split_right")):
        child = model[name][source].astype(np.int64)
        inner = child >= 0
        node_of_split[tree_start[tree[inner]] + child[inner]] = first_child[inner] + side
        leaf = tree_start[tree[~inner]] + tree[~inner] + ~child[~inner]
        values[first_child[~inner] + side] = model["leaf_value"][leaf]
    nodes = np.arange(total) | LEAF_THRESHOLD << THRESHOLD_SHIFT
    nodes[node_of_split[source]] = (
        first_child | threshold[source] << THRESHOLD_SHIFT | shift[source] << SHIFT_SHIFT
    )
    nodes = nodes.astype(np.uint64)
    nodes[node_of_split[source]] |= column[source].astype(np.uint64) << np.uint64(COLUMN_SHIFT)
    return {"nodes": nodes, "node_value": values, "roots": roots}
