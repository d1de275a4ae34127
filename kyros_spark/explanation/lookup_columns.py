"""Arrange table columns in the order in which the look-up reads them."""

from dataclasses import dataclass

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.scoring.kernel_calls import frozen


@dataclass(frozen=True)
class LookupColumns:
    """Where tables lie and in which order they are read.

    begin    int64[columns]: where each column begins in the tables, in entries
    entries  the number of entries of all tables
    index_start  int64[groups]: where a group's indices begin, in bytes, counted within its tree
    index_bytes  the bytes of the largest tree's indices
    run_start, runs, uses  see kernels/shapley_lookup.py
    """

    begin: np.ndarray
    entries: int
    index_start: np.ndarray
    index_bytes: int
    run_start: np.ndarray
    runs: np.ndarray
    uses: np.ndarray


def arrange_columns(
    groups: np.ndarray, trees: int, group: np.ndarray, item: np.ndarray
) -> LookupColumns:
    """Sort columns by tree, by the row of sums that they are added to, and by their indices' width.

    groups  int64[groups + 1, 8], see kernels/shapley_groups.py
    trees   the number of trees
    group   int64[columns]: each column's group
    item    integers[columns]: the row of sums
    """
    tree, bits = groups[:-1, 0], groups[:-1, 3]
    is_wide = bits > 8
    index_start = starts(np.where(is_wide, 2 * BLOCK_ROWS, BLOCK_ROWS))
    first_index = index_start[np.searchsorted(tree, np.arange(trees + 1))]
    within_tree = index_start[:-1] - first_index[tree]
    order = np.lexsort((is_wide[group], item, tree[group]))
    sorted_group, sorted_item = group[order], item[order]
    column_start = starts(1 << bits[sorted_group])
    uses = np.zeros((order.size + 1, 2), np.int64)
    uses[:-1, 0] = within_tree[sorted_group]
    uses[:, 1] = 8 * column_start
    begin = np.empty(order.size, np.int64)
    begin[order] = column_start[:-1]
    sorted_tree = tree[sorted_group]
    is_first = np.ones(order.size, bool)
    is_first[1:] = (np.diff(sorted_tree) != 0) | (np.diff(sorted_item) != 0)
    first = np.flatnonzero(is_first)
    borders = np.append(first, order.size)
    wide = np.diff(starts(is_wide[sorted_group])[borders])
    runs = np.stack([sorted_item[first], first, np.diff(borders) - wide, wide], axis=1)
    return LookupColumns(
        begin=begin,
        entries=int(column_start[-1]),
        index_start=frozen(within_tree),
        index_bytes=int(np.diff(first_index).max(initial=0)),
        run_start=frozen(np.searchsorted(sorted_tree[first], np.arange(trees + 1))),
        runs=frozen(runs.astype(np.int64)),
        uses=frozen(uses),
    )


def starts(sizes: np.ndarray) -> np.ndarray:
    """Return where parts of these sizes begin when laid end to end, and where the last one ends."""
    ends: np.ndarray = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return ends
