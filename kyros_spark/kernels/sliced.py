"""Find every row's leaf by whole-tree comparisons on bit slices: the fast walk, on any CPU.

A walk asks one row one question after the other and waits for each answer. Here every row answers
every question of a tree, 64 bytes at a time. This is far less work: AVX-512 compares 64 rows in one
instruction, and all further steps handle 512 rows as 512 bits.

1. decide: for each split, one bit per row says whether the row goes right.
2. route: from the root down, AND and AND NOT give the set of rows at each child.
3. fold: each leaf's set of rows contributes the bits of the leaf's number to bit planes.
4. spread: eight bit planes become one byte per row, the number of its leaf.

The work grows with the number of splits, not with depth; up to MAX_LEAVES leaves it is far faster
than a walk (walk.py). The alternative is a row-by-row permute (one row's 64 codes in a register,
all splits of a tree compared at once). It reaches 1.1 ns per row and tree on a Zen 5; the sliced
walk takes 1.0 ns on a Zen 4, whatever the number of columns, and also runs without AVX-512.
"""

import numpy as np

from kyros_spark.kernels.row_bits import (
    BLOCK_ROWS,
    SLOT_BYTES,
    address,
    decide_splits,
    fold_eights,
    route_rows,
    spread,
)

MAX_LEAVES = 256
PLANES = 9
SCRATCH_BYTES = SLOT_BYTES * (PLANES + (MAX_LEAVES - 1) + (2 * MAX_LEAVES - 1))


def find_leaves(
    codes: np.ndarray,
    tree_start: np.ndarray,
    first: int,
    last: int,
    tests: np.ndarray,
    slots: np.ndarray,
    scratch: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """Write the leaf number of each row in trees `first` to `last` (exclusive).

    codes       uint8[blocks, columns, BLOCK_ROWS], see quantise.py
    tree_start  int64[trees + 1]: where each tree's splits begin
    tests       uint32[splits]: column << 16 | threshold << 8 | shift. A row goes right if
                `code - shift >= threshold`, modulo 256: with shift 1 a missing value (code 0)
                becomes the largest code and goes right, with shift 0 it goes left. With shift 2 the
                column holds answers of category sets, and a row goes right if `code & threshold` is
                not 0
    slots       uint32[splits]: left child | right child << 16, as slot numbers: leaf n has slot n,
                and the splits' slots follow those of the leaves
    scratch     uint8[SCRATCH_BYTES]
    numbers     uint8[trees, rows], output
    """
    planes = address(scratch)
    decisions = planes + SLOT_BYTES * PLANES
    nodes = decisions + SLOT_BYTES * (MAX_LEAVES - 1)
    code, number = address(codes), address(numbers)
    blocks, block_bytes = codes.shape[0], codes.shape[1] * BLOCK_ROWS
    for block in range(blocks):
        for tree in range(first, last):
            start = tree_start[tree]
            splits = tree_start[tree + 1] - start
            decide_splits(code, address(tests) + 4 * start, splits, decisions)
            route_rows(decisions, address(slots) + 4 * start, splits, splits + 1, nodes)
            count, plane = splits + 1, planes
            for _ in range(PLANES // 3):
                fold_eights(nodes, count, plane)
                count = (count + 7) >> 3
                plane += 3 * SLOT_BYTES
            spread(planes, number + ((tree - first) * blocks + block) * BLOCK_ROWS)
        code += block_bytes
