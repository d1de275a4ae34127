"""Index look-up tables by rows' decisions and add their entries: the steps of shapley_lookup.py.

Addresses are plain integers, and a slot is 64 bytes: one bit for each of 512 rows (row_bits.py).
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import (
    BIT,
    BYTE,
    DOUBLE,
    LONG,
    lanes,
    load,
    number,
    prefetch,
    store,
)
from kyros_spark.kernels.row_bits import ADDRESS, BLOCK_ROWS, SLOT, SLOT_BYTES, WORDS

SHORT = ir.IntType(16)
ROWS_AT_ONCE = 8
TABLES_AT_ONCE = 4


def _slot(b: ir.IRBuilder, slots: ir.Value, index: ir.Value) -> ir.Value:
    return b.add(slots, b.mul(index, number(SLOT_BYTES)))


@intrinsic
def combine_conditions(
    typing: Any, decisions: Any, conditions: Any, count: Any, bits: Any, planes: Any
) -> Any:
    """For each bit, set the bit of each row that meets all the bit's conditions.

    decisions   address of one slot per split, from row_bits.decide_splits
    conditions  address of int64[count]: bit << 32 | 2 * split + side; the row has to take that side
    planes      address of one slot per bit, output
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        decisions, conditions, count, bits, planes = arguments
        with cgutils.for_range(b, bits) as loop:
            store(b, ir.Constant(SLOT, [-1] * WORDS), _slot(b, planes, loop.index), 0)
        with cgutils.for_range(b, count) as loop:
            condition = load(b, b.add(conditions, b.shl(loop.index, number(3))), 0, LONG)
            edge = b.and_(condition, number(0xFFFFFFFF))
            right = load(b, _slot(b, decisions, b.lshr(edge, number(1))), 0, SLOT)
            flip = b.sub(b.and_(edge, number(1)), number(1))  # all ones where the side is left
            plane = _slot(b, planes, b.lshr(condition, number(32)))
            for word in range(WORDS):
                place = ir.Constant(ir.IntType(32), word)
                takes = b.xor(b.extract_element(right, place), flip)
                store(b, b.and_(load(b, plane, 8 * word, LONG), takes), plane, 8 * word)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, types.int64, types.int64, ADDRESS), generate


@intrinsic
def index_rows(typing: Any, planes: Any, bits: Any, indices: Any) -> Any:
    """Turn planes into one number per row: uint8[BLOCK_ROWS] up to 8 bits, else uint16.

    planes  address of one slot per bit
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        planes, bits, indices = arguments
        eight = number(8)
        few = b.icmp_unsigned("<=", bits, eight)
        with b.if_else(few) as (narrow, wide):
            with narrow, cgutils.for_range(b, number(WORDS)) as loop:
                word = b.add(planes, b.mul(loop.index, number(8)))
                store(b, _bytes(b, word, bits), b.add(indices, b.mul(loop.index, number(64))), 0)
            with wide, cgutils.for_range(b, number(WORDS)) as loop:
                word = b.add(planes, b.mul(loop.index, number(8)))
                low = _bytes(b, word, eight)
                high = _bytes(b, b.add(word, number(8 * SLOT_BYTES)), b.sub(bits, eight))
                out = b.add(indices, b.mul(loop.index, number(128)))
                kind = lanes(SHORT, 64)
                eights = ir.Constant(kind, [8] * 64)
                both = b.or_(b.zext(low, kind), b.shl(b.zext(high, kind), eights))
                store(b, both, out, 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, types.int64, ADDRESS), generate


def _bytes(b: ir.IRBuilder, word: ir.Value, bits: ir.Value) -> ir.Value:
    """Return 64 rows' bytes from the planes' words that begin at `word`."""
    kind = lanes(BYTE, 64)
    zeros = ir.Constant(kind, [0] * 64)
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    bit, numbers, ones = b.phi(LONG), b.phi(kind), b.phi(kind)
    rows = b.bitcast(load(b, _slot(b, word, bit), 0, LONG), lanes(BIT, 64))
    updated = b.or_(numbers, b.select(rows, ones, zeros))
    doubled, next_bit = b.add(ones, ones), b.add(bit, number(1))
    for phi, start, again in (
        (bit, number(0), next_bit), (numbers, zeros, updated),
        (ones, ir.Constant(kind, [1] * 64), doubled),
    ):  # fmt: skip
        phi.add_incoming(start, before)
        phi.add_incoming(again, loop)
    b.cbranch(b.icmp_unsigned("<", next_bit, bits), loop, after)
    b.position_at_end(after)
    return updated


@intrinsic
def add_entries(
    typing: Any, uses: Any, count: Any, is_wide: Any, indices: Any, tables: Any, sums: Any
) -> Any:
    """Add one entry of each of `count` table columns to the sums of 512 rows.

    uses     address of int64[count + 1, 2]: where the column's indices begin among `indices`, and
             where the column begins in `tables`, both in bytes. The column of the entry after the
             last is fetched into the cache meanwhile
    is_wide  0 if the indices are uint8, 1 if they are uint16
    tables   address of float64
    sums     address of float64[BLOCK_ROWS], updated in place
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        uses, count, is_wide, indices, tables, sums = arguments
        wide = b.icmp_unsigned("!=", is_wide, number(0))
        with b.if_else(wide) as (by_short, by_byte):
            for branch, kind in ((by_short, SHORT), (by_byte, BYTE)):
                with branch:
                    _add_all(b, uses, count, indices, tables, sums, kind)
        return context.get_dummy_value()

    address, size = types.int64, types.int64
    return types.void(address, size, size, address, address, address), generate


def _add_all(
    b: ir.IRBuilder, uses: ir.Value, count: ir.Value, indices: ir.Value, tables: ir.Value,
    sums: ir.Value, kind: ir.Type,
) -> None:  # fmt: skip
    """Loop over the columns, several at a time, and then over the few that are left."""
    several = b.udiv(count, number(TABLES_AT_ONCE))
    with cgutils.for_range(b, several) as loop:
        first = b.add(uses, b.mul(loop.index, number(16 * TABLES_AT_ONCE)))
        _add_columns(b, first, TABLES_AT_ONCE, indices, tables, sums, kind)
    rest = b.add(uses, b.mul(several, number(16 * TABLES_AT_ONCE)))
    left = b.sub(count, b.mul(several, number(TABLES_AT_ONCE)))
    for columns in range(1, TABLES_AT_ONCE):
        with b.if_then(b.icmp_unsigned("==", left, number(columns))):
            _add_columns(b, rest, columns, indices, tables, sums, kind)


def _add_columns(
    b: ir.IRBuilder, uses: ir.Value, count: int, indices: ir.Value, tables: ir.Value,
    sums: ir.Value, kind: ir.Type,
) -> None:  # fmt: skip
    size = kind.width // 8
    rows = [b.add(indices, load(b, uses, 16 * k, LONG)) for k in range(count)]
    columns = [b.add(tables, load(b, uses, 16 * k + 8, LONG)) for k in range(count)]
    ahead = b.add(tables, load(b, uses, 16 * count + 8, LONG))
    with cgutils.for_range(b, number(BLOCK_ROWS // ROWS_AT_ONCE)) as loop:
        prefetch(b, b.add(ahead, b.shl(loop.index, number(6))))
        out = b.add(sums, b.mul(loop.index, number(8 * ROWS_AT_ONCE)))
        offset = b.mul(loop.index, number(size * ROWS_AT_ONCE))
        for row in range(ROWS_AT_ONCE):
            total = load(b, out, 8 * row, DOUBLE)
            for index, column in zip(rows, columns, strict=True):
                entry = b.zext(load(b, b.add(index, offset), size * row, kind), LONG)
                value = load(b, b.add(column, b.shl(entry, number(3))), 0, DOUBLE)
                total = b.fadd(total, value)
            store(b, total, out, 8 * row)
