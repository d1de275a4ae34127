"""Walk trees row by row on any CPU, for trees with more leaves than sliced.py can handle."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import BYTE, LONG, load, number, store
from kyros_spark.kernels.row_bits import ADDRESS, BLOCK_ROWS, address

ROWS_IN_FLIGHT = 16
COLUMN_SHIFT, MASK_BIT, SHIFT_SHIFT, THRESHOLD_SHIFT = 48, 42, 41, 32
LEAF_THRESHOLD = 256  # no code reaches it
CHILD_MASK = 0xFFFFFFFF


@intrinsic
def descend_16(typing: Any, codes: Any, nodes: Any, root: Any, ends: Any) -> Any:
    """Walk 16 neighbouring rows from the root to their leaves, side by side.

    Their loads overlap, which hides most of each load's latency. The walk ends when a step moves no
    row; the 16 leaves' nodes are written to `ends` as 64-bit numbers.
    """
    return _descent(with_masks=False)


@intrinsic
def descend_16_by_masks(typing: Any, codes: Any, nodes: Any, root: Any, ends: Any) -> Any:
    """Walk as `descend_16` does, through nodes some of which have the mask bit.

    This is a separate function because the mask's few instructions would cost a numeric model a
    fifth of its speed.
    """
    return _descent(with_masks=True)


def _descent(with_masks: bool) -> Any:
    """Return the signature and the code generator of a walk."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        codes, nodes, root, ends = arguments
        before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
        b.branch(loop)
        b.position_at_end(loop)
        positions = [b.phi(LONG) for _ in range(ROWS_IN_FLIGHT)]
        moved, children = number(0), []
        for row, position in enumerate(positions):
            node = load(b, b.add(nodes, b.shl(position, number(3))), 0, LONG)
            column = b.mul(b.lshr(node, number(COLUMN_SHIFT)), number(BLOCK_ROWS))
            code = load(b, b.add(codes, column), row, BYTE)
            if with_masks:
                bit = b.and_(b.lshr(node, number(MASK_BIT)), number(1))
                mask = b.or_(b.lshr(node, number(THRESHOLD_SHIFT)), b.sub(bit, number(1)))
                code = b.and_(code, b.trunc(mask, BYTE))
            shift = b.and_(b.trunc(b.lshr(node, number(SHIFT_SHIFT)), BYTE), ir.Constant(BYTE, 1))
            code = b.zext(b.sub(code, shift), LONG)
            threshold = b.and_(b.lshr(node, number(THRESHOLD_SHIFT)), number(511))
            right = b.zext(b.icmp_unsigned(">=", code, threshold), LONG)
            child = b.add(b.and_(node, number(CHILD_MASK)), right)
            moved = b.or_(moved, b.xor(child, position))
            children.append(child)
        for position, child in zip(positions, children, strict=True):
            position.add_incoming(root, before)
            position.add_incoming(child, loop)
        b.cbranch(b.icmp_unsigned("!=", moved, number(0)), loop, after)
        b.position_at_end(after)
        for row, child in enumerate(children):
            store(b, child, ends, 8 * row)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, types.int64, ADDRESS), generate


def walk_trees(
    codes: np.ndarray,
    nodes: np.ndarray,
    node_value: np.ndarray,
    roots: np.ndarray,
    with_masks: int,
    first: int,
    last: int,
    ends: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add each row's leaf values in trees `first` to `last` (exclusive) to `sums`, tree by tree.

    codes       uint8[blocks, columns, BLOCK_ROWS], see quantise.py
    nodes       uint64[nodes]: column (16 bits), mask (1, at bit 42), shift (1, at bit 41),
                threshold (9, at bit 32), first child (32). A row goes to the second child if
                `code - shift >= threshold`, modulo 256 (see sliced.py). With the mask bit, the row
                goes there if the code has the threshold's only bit, that is if
                `code & threshold >= threshold`. A leaf is its own child, and no code reaches its
                threshold
    node_value  float32 or float64[nodes]: the leaves' values
    roots       int64[trees]: the first node of each tree
    with_masks  0 if no node has the mask bit
    ends        int64[ROWS_IN_FLIGHT], scratch
    sums        float32 or float64[rows], updated in place
    """
    code = address(codes)
    for block in range(codes.shape[0]):
        for tree in range(first, last):
            for row in range(0, BLOCK_ROWS, ROWS_IN_FLIGHT):
                if with_masks:
                    descend_16_by_masks(code + row, address(nodes), roots[tree], address(ends))
                else:
                    descend_16(code + row, address(nodes), roots[tree], address(ends))
                for k in range(ROWS_IN_FLIGHT):
                    sums[block * BLOCK_ROWS + row + k] += node_value[ends[k]]
        code += codes.shape[1] * BLOCK_ROWS
