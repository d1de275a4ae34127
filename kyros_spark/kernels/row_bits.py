"""Work on one bit per row, 512 rows at a time: the steps of the sliced walk (sliced.py).

Addresses are plain integers. A "slot" is 64 bytes of memory: one bit for each of 512 rows. The
loops are written in LLVM's terms rather than Python's, because most of the time to compile a kernel
goes to Numba's front end, and a kernel must be ready in a fraction of a second.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import (
    BIT,
    BYTE,
    INT,
    LONG,
    constant,
    lanes,
    load,
    number,
    splat,
    store,
)

BLOCK_ROWS = 512
SLOT_BYTES = BLOCK_ROWS // 8
WORDS = BLOCK_ROWS // 64
MASK_SHIFT = 2  # instead of a test's shift: the test's threshold is then a mask
SLOT = lanes(LONG, WORDS)
ADDRESS = types.int64


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """Return the address of a contiguous array's first value."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, b, arguments[0])
        return b.ptrtoint(struct.data, LONG)

    return ADDRESS(array), generate


def _slot(b: ir.IRBuilder, slots: ir.Value, index: ir.Value) -> ir.Value:
    return b.add(slots, b.mul(index, number(SLOT_BYTES)))


def _uint32(b: ir.IRBuilder, array: ir.Value, index: ir.Value) -> ir.Value:
    return b.zext(load(b, b.add(array, b.mul(index, number(4))), 0, INT), LONG)


@intrinsic
def decide_splits(typing: Any, codes: Any, tests: Any, splits: Any, decisions: Any) -> Any:
    """For each split, set the bit of each row that goes right.

    codes      address of uint8[columns, BLOCK_ROWS]
    tests      address of uint32[splits]: column << 16 | threshold << 8 | shift. A row goes right
               if `code - shift >= threshold`, or with MASK_SHIFT if `code & threshold != 0`. Each
               split branches between the two; a single formula for both would slow numeric models
    decisions  address of one slot per split, output
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        codes, tests, splits, decisions = arguments
        with cgutils.for_range(b, splits) as loop:
            test = _uint32(b, tests, loop.index)
            column = b.add(codes, b.mul(b.lshr(test, number(16)), number(BLOCK_ROWS)))
            threshold = splat(b, b.trunc(b.lshr(test, number(8)), BYTE), 64)
            shift = splat(b, b.trunc(test, BYTE), 64)
            out = _slot(b, decisions, loop.index)
            by_mask = b.icmp_unsigned("!=", b.and_(test, number(MASK_SHIFT)), number(0))
            with b.if_else(by_mask, likely=False) as (masked, ranked):
                with masked:
                    zeros = constant(BYTE, [0] * 64)
                    for word in range(WORDS):
                        code = load(b, column, 64 * word, lanes(BYTE, 64))
                        right = b.icmp_unsigned("!=", b.and_(code, threshold), zeros)
                        store(b, b.bitcast(right, LONG), out, 8 * word)
                with ranked:
                    for word in range(WORDS):
                        code = load(b, column, 64 * word, lanes(BYTE, 64))
                        right = b.icmp_unsigned(">=", b.sub(code, shift), threshold)
                        store(b, b.bitcast(right, LONG), out, 8 * word)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, types.int64, ADDRESS), generate


@intrinsic
def route_rows(typing: Any, decisions: Any, slots: Any, splits: Any, root: Any, nodes: Any) -> Any:
    """Send all rows down the tree: write the set of rows at each split and leaf.

    decisions  address of one slot per split, from decide_splits
    slots      address of uint32[splits]: left child | right child << 16, as slot numbers in `nodes`
    root       the number of split 0's slot; split s has the s-th slot after it
    nodes      address of one slot per split and leaf, output
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        decisions, slots, splits, root, nodes = arguments
        store(b, ir.Constant(SLOT, [-1] * WORDS), _slot(b, nodes, root), 0)
        with cgutils.for_range(b, splits) as loop:
            children = _uint32(b, slots, loop.index)
            rows = load(b, _slot(b, nodes, b.add(root, loop.index)), 0, SLOT)
            bits = load(b, _slot(b, decisions, loop.index), 0, SLOT)
            left = _slot(b, nodes, b.and_(children, number(0xFFFF)))
            right = _slot(b, nodes, b.lshr(children, number(16)))
            store(b, b.and_(rows, b.not_(bits)), left, 0)
            store(b, b.and_(rows, bits), right, 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, types.int64, types.int64, ADDRESS), generate


@intrinsic
def fold_eights(typing: Any, slots: Any, count: Any, planes: Any) -> Any:
    """Number `count` slots, eight at a time: add three bits of each slot's number to three planes.

    Every eight slots are replaced by one, their union; a row is in at most one slot. The seven
    slots after the last are overwritten.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        slots, count, planes = arguments
        zeros = ir.Constant(SLOT, [0] * WORDS)
        for plane in range(3):
            store(b, zeros, planes, SLOT_BYTES * plane)
        for slot in range(7):  # the last eight may be fewer
            store(b, zeros, _slot(b, slots, count), SLOT_BYTES * slot)
        with cgutils.for_range(b, b.lshr(b.add(count, number(7)), number(3))) as loop:
            eight = _slot(b, slots, b.mul(loop.index, number(8)))
            rows = [load(b, eight, SLOT_BYTES * slot, SLOT) for slot in range(8)]
            for bit in range(3):
                bits = load(b, planes, SLOT_BYTES * bit, SLOT)
                for slot in range(8):
                    bits = b.or_(bits, rows[slot]) if slot >> bit & 1 else bits
                store(b, bits, planes, SLOT_BYTES * bit)
            union = rows[0]
            for other in rows[1:]:
                union = b.or_(union, other)
            store(b, union, _slot(b, slots, loop.index), 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, types.int64, ADDRESS), generate


@intrinsic
def spread(typing: Any, planes: Any, numbers: Any) -> Any:
    """Turn eight bit planes into one byte per row: the number of the row's leaf."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        planes, numbers = arguments
        zeros = constant(BYTE, [0] * 64)
        with cgutils.for_range(b, number(WORDS)) as loop:
            word = b.add(planes, b.mul(loop.index, number(8)))
            leaf_numbers = zeros
            for bit in range(8):
                rows = b.bitcast(load(b, word, SLOT_BYTES * bit, LONG), lanes(BIT, 64))
                value = constant(BYTE, [(1 << bit) - (256 if bit == 7 else 0)] * 64)
                leaf_numbers = b.or_(leaf_numbers, b.select(rows, value, zeros))
            store(b, leaf_numbers, _slot(b, numbers, loop.index), 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS), generate
