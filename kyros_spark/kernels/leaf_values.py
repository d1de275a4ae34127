"""Add each row's leaf value to its sum, tree by tree, on any CPU: one load and add per row."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import BYTE, DOUBLE, FLOAT, LONG, load, number, store
from kyros_spark.kernels.row_bits import ADDRESS, BLOCK_ROWS, address

ROWS_AT_ONCE = 8


@intrinsic
def add_by_load(typing: Any, numbers: Any, table: Any, sums: Any, sum_type: Any) -> Any:
    """Add `table[number]` to the sums of 8 rows with plain loads; `sum_type` is a float's type."""
    kind, size = (FLOAT, 4) if sum_type == types.float32 else (DOUBLE, 8)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        numbers, table, sums, _ = arguments
        for row in range(ROWS_AT_ONCE):
            leaf = b.zext(load(b, numbers, row, BYTE), LONG)
            location = b.add(table, b.mul(leaf, number(size)))
            total = b.fadd(load(b, sums, size * row, kind), load(b, location, 0, kind))
            store(b, total, sums, size * row)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, ADDRESS, sum_type), generate


def add_leaf_values(
    numbers: np.ndarray,
    tree_start: np.ndarray,
    first: int,
    last: int,
    leaf_value: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the leaf values of trees `first` to `last` (exclusive) to `sums`, on any CPU.

    numbers     uint8[trees, rows] from find_leaves; rows is a multiple of BLOCK_ROWS
    tree_start  int64[trees + 1]: where each tree's splits begin
    leaf_value  float32 or float64[leaves]; tree t's leaves begin at tree_start[t] + t
    sums        the same type[rows], updated in place
    """
    rows, size = sums.size, sums.itemsize
    sum_sample = sums.dtype.type(0)
    for block in range(0, rows, BLOCK_ROWS):
        for tree in range(first, last):
            table = address(leaf_value) + (tree_start[tree] + tree) * size
            number = address(numbers) + (tree - first) * rows
            for row in range(block, block + BLOCK_ROWS, ROWS_AT_ONCE):
                add_by_load(number + row, table, address(sums) + row * size, sum_sample)
