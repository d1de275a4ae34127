"""Lay out the trees of several outputs: one output after another, in the library's order."""

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.trees import MAX_NODES, MAX_TREES, TreeArrays


def output_starts(output: np.ndarray, count: int) -> np.ndarray:
    """Return where each output's trees begin, as int64[count + 1].

    output  integers[trees], ascending: the output that each tree adds to
    """
    return np.searchsorted(output, np.arange(count + 1)).astype(np.int64)


def trees_by_output(trees: TreeArrays) -> tuple[TreeArrays, np.ndarray]:
    """Copy each tree that has a vector per leaf, once for every output it adds anything to.

    This is the slower path: it walks a tree once per output, where the library walks it once.
    Returns trees with one value per leaf, and `output_start` (int64[outputs + 1]).
    Raises ModelNotSupportedError when the copies exceed the limits on trees or nodes.
    """
    leaf, start = trees.leaf_value, trees.tree_start
    n_outputs, sizes = leaf.shape[1], np.diff(start)
    tree_of_leaf = np.repeat(np.arange(sizes.size), sizes + 1)
    adds = np.zeros((sizes.size, n_outputs), bool)
    np.logical_or.at(adds, tree_of_leaf, leaf != 0)
    output, tree = np.nonzero(adds.T)
    if tree.size > MAX_TREES or 2 * sizes[tree].sum() + tree.size > MAX_NODES:
        raise ModelNotSupportedError(
            f"the model has {tree.size} trees over its {n_outputs} outputs"
        )
    ends = np.concatenate([[0], np.cumsum(sizes[tree])]).astype(np.int64)
    splits = np.arange(ends[-1]) + np.repeat(start[tree] - ends[:-1], sizes[tree])
    leaf_ends = ends + np.arange(ends.size)
    shift = start[tree] + tree - leaf_ends[:-1]
    leaves = np.arange(leaf_ends[-1]) + np.repeat(shift, sizes[tree] + 1)
    single_output_trees = TreeArrays(
        cut_value=trees.cut_value,
        cut_start=trees.cut_start,
        tree_start=ends,
        split_cut=trees.split_cut[splits],
        split_missing_left=trees.split_missing_left[splits],
        split_left=trees.split_left[splits],
        split_right=trees.split_right[splits],
        leaf_value=leaf[leaves, np.repeat(output, sizes[tree] + 1)],
        sets=trees.sets,
        covers={
            name: cover[splits if name == "split_cover" else leaves]
            for name, cover in trees.covers.items()
        },
    )
    return single_output_trees, output_starts(output, n_outputs)
