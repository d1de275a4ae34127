"""Add the contributions of groups of leaves, looked up in their tables: the fast form.

1. decide: for each split of a tree, one bit per row (row_bits.py, as for scores).
2. combine: for each bit of a group's index, AND the decisions of its conditions.
3. index: the bits of a row make a number, the pattern of its decisions.
4. add: for each feature of the tree, the entry of every group that has the feature. The tables of
   one feature are read together, so that a row's sum is loaded and stored once for several groups.

Four leaves in a group cost 7 additions per row in a tree of depth 6; the same leaves' pairs would
cost 12, and eight leaves' 10, from tables six times as large.
"""

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS, SLOT_BYTES, address, decide_splits
from kyros_spark.kernels.shapley_bits import add_entries, combine_conditions, index_rows

PLANES = 16


def add_tables(
    codes: np.ndarray,
    tree_start: np.ndarray,
    first: int,
    last: int,
    tests: np.ndarray,
    group_start: np.ndarray,
    groups: np.ndarray,
    conditions: np.ndarray,
    index_start: np.ndarray,
    run_start: np.ndarray,
    runs: np.ndarray,
    uses: np.ndarray,
    tables: np.ndarray,
    scratch: np.ndarray,
    indices: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the contributions in trees `first` to `last` (exclusive) to `sums`.

    codes        uint8[blocks, columns, BLOCK_ROWS], see quantise.py
    tree_start   int64[trees + 1]; tests uint32[splits], see sliced.py
    group_start  int64[trees + 1]: where each tree's groups begin
    groups, conditions  see shapley_groups.describe_groups
    index_start  int64[groups]: where a group's indices begin, in bytes, counted within its tree
    run_start    int64[trees + 1]: where each tree's runs begin
    runs         int64[runs, 4]: a feature's row of `sums`, its first use, and its numbers of uses
                 by uint8 and by uint16, in this order
    uses         int64[uses, 2], see shapley_bits.add_entries
    tables       float64
    scratch      uint8: a slot per bit of a group, and per split of the largest tree
    indices      uint8: the indices of the largest tree
    sums         float64[blocks, features, BLOCK_ROWS], updated in place
    """
    planes = address(scratch)
    decisions = planes + SLOT_BYTES * PLANES
    index, table, use = address(indices), address(tables), address(uses)
    for block in range(codes.shape[0]):
        code = address(codes) + block * codes.shape[1] * BLOCK_ROWS
        total = address(sums) + block * sums.shape[1] * BLOCK_ROWS * 8
        for tree in range(first, last):
            if group_start[tree + 1] == group_start[tree]:
                continue
            start = tree_start[tree]
            decide_splits(code, address(tests) + 4 * start, tree_start[tree + 1] - start, decisions)
            for group in range(group_start[tree], group_start[tree + 1]):
                at, bits = groups[group, 5], groups[group, 3]
                count = groups[group + 1, 5] - at
                combine_conditions(decisions, address(conditions) + 8 * at, count, bits, planes)
                index_rows(planes, bits, index + index_start[group])
            for run in range(run_start[tree], run_start[tree + 1]):
                feature, at = runs[run, 0], runs[run, 1]
                narrow, wide = runs[run, 2], runs[run, 3]
                out = total + feature * BLOCK_ROWS * 8
                add_entries(use + 16 * at, narrow, 0, index, table, out)
                add_entries(use + 16 * (at + narrow), wide, 1, index, table, out)
