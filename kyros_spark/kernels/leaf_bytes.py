"""Add each row's leaf value to its sum, tree by tree, with AVX-512 VBMI.

The leaf values' bytes are laid out by significance: all lowest bytes first, then all next-lowest
bytes, and so on. One instruction looks up one byte for 64 rows, so four (float32) or eight
(float64) look-ups and a few interleavings give 64 values.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import (
    BYTE,
    DOUBLE,
    FLOAT,
    constant,
    lanes,
    load,
    pick,
    store,
    x86,
)
from kyros_spark.kernels.row_bits import ADDRESS, BLOCK_ROWS, address

BYTES = lanes(BYTE, 64)


def _byte_planes(
    b: ir.IRBuilder, numbers: ir.Value, table: ir.Value, size: int, leaves: int
) -> Any:
    """Look up each byte of the leaf values of 64 rows in a table of 64 or 256 leaves."""
    planes = []
    for byte in range(size):
        parts = [load(b, table, byte * leaves + 64 * part, BYTES) for part in range(leaves // 64)]
        if leaves == 64:
            planes.append(x86(b, "avx512.permvar.qi.512", BYTES, parts[0], numbers))
            continue
        lower, upper = (
            x86(b, "avx512.vpermi2var.qi.512", BYTES, parts[k], numbers, parts[k + 1])
            for k in (0, 2)
        )
        is_upper = b.icmp_signed("<", numbers, constant(BYTE, [0] * 64))  # 128 and above
        planes.append(b.select(is_upper, upper, lower))
    return planes


def _interleave(b: ir.IRBuilder, planes: list[ir.Value]) -> list[ir.Value]:
    """Join byte planes to whole values with in-lane unpacks: first bytes, then pairs, then fours.

    Vector v of the result holds the v-th run of positions of each 16-byte lane.
    """
    half = len(planes) // 2
    if half == 0:
        return planes
    kind, count, lane = ir.IntType(8 * half), 64 // half, 16 // half
    joined = []
    lows, highs = _interleave(b, planes[:half]), _interleave(b, planes[half:])
    for low, high in zip(lows, highs, strict=True):
        low, high = b.bitcast(low, lanes(kind, count)), b.bitcast(high, lanes(kind, count))
        for side in (0, lane // 2):
            positions = [s + side + k for s in range(0, count, lane) for k in range(lane // 2)]
            indices = [index for k in positions for index in (k, count + k)]
            joined.append(pick(b, low, high, indices))
    return joined


def _add_by_byte(leaves: int, sum_type: Any) -> Any:
    kind, size = (FLOAT, 4) if sum_type == types.float32 else (DOUBLE, 8)
    rows = 64 // size  # values in a vector
    span = rows // 4  # values in one 16-byte lane
    # After interleaving, vector v holds byte positions 16 * lane + span * v + k. The rows are
    # shuffled to these positions beforehand, so that vector v ends up with rows v * rows and
    # following, in order.
    positions = [0] * 64
    for vector in range(size):
        for lane in range(4):
            for k in range(span):
                positions[16 * lane + span * vector + k] = rows * vector + span * lane + k

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        numbers, table, sums, _ = arguments
        order = constant(BYTE, positions)
        shuffled = x86(b, "avx512.permvar.qi.512", BYTES, load(b, numbers, 0, BYTES), order)
        values = _interleave(b, _byte_planes(b, shuffled, table, size, leaves))
        for vector, value in enumerate(values):
            total = load(b, sums, 64 * vector, lanes(kind, rows))
            total = b.fadd(total, b.bitcast(value, lanes(kind, rows)))
            store(b, total, sums, 64 * vector)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, ADDRESS, sum_type), generate


@intrinsic
def add_by_byte_64(typing: Any, numbers: Any, table: Any, sums: Any, sum_type: Any) -> Any:
    """Add the leaf values of 64 rows from a table of 64 leaves; `sum_type` is a float's type."""
    return _add_by_byte(64, sum_type)


@intrinsic
def add_by_byte_256(typing: Any, numbers: Any, table: Any, sums: Any, sum_type: Any) -> Any:
    """Add the leaf values of 64 rows from a table of 256 leaves; `sum_type` is a float's type."""
    return _add_by_byte(256, sum_type)


def add_leaf_bytes(
    numbers: np.ndarray,
    byte_start: np.ndarray,
    first: int,
    last: int,
    leaf_bytes: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the leaf values of trees `first` to `last` (exclusive) to `sums`, with AVX-512 VBMI.

    numbers     uint8[trees, rows] from find_leaves; rows is a multiple of BLOCK_ROWS
    byte_start  int64[trees + 1]: where each tree's bytes begin
    leaf_bytes  uint8: for each tree, the bytes of its 64 or 256 leaves by significance
    sums        float32 or float64[rows], updated in place
    """
    rows, size = sums.size, sums.itemsize
    sum_sample = sums.dtype.type(0)
    for block in range(0, rows, BLOCK_ROWS):
        for tree in range(first, last):
            table = address(leaf_bytes) + byte_start[tree]
            leaves = (byte_start[tree + 1] - byte_start[tree]) // size
            number = address(numbers) + (tree - first) * rows
            for row in range(block, block + BLOCK_ROWS, 64):
                if leaves == 64:
                    add_by_byte_64(number + row, table, address(sums) + row * size, sum_sample)
                else:
                    add_by_byte_256(number + row, table, address(sums) + row * size, sum_sample)
