"""Add the products of dense design columns in vector code that is the same on every CPU.

Rows are added in order, one after the other, in each lane: there is no sum whose order depends on
the width of a register, and no fused multiply-add. All arguments are addresses, numbers of bytes or
numbers of rows; a stride is from one row to the next.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kyros_spark.kernels.lanes import DOUBLE, INT, lanes, load, number, splat, store
from kyros_spark.kernels.row_bits import ADDRESS

LANES = 4  # the width of dense rows is a multiple of it
TALL, LOW = 8, 4  # columns on the left of a tile
VECTOR = lanes(DOUBLE, LANES)


def _tile(height: int, b: ir.IRBuilder, arguments: Any) -> None:
    left, left_stride, right, right_stride, rows, sums, sums_stride = arguments
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    totals = [cgutils.alloca_once_value(b, zero) for _ in range(height)]
    with cgutils.for_range(b, rows) as loop:
        row = load(b, b.add(right, b.mul(loop.index, right_stride)), 0, VECTOR)
        factors = b.add(left, b.mul(loop.index, left_stride))
        for n, total in enumerate(totals):
            factor = splat(b, load(b, factors, 8 * n, DOUBLE), LANES)
            b.store(b.fadd(b.load(total), b.fmul(factor, row)), total)
    for n, total in enumerate(totals):
        out = b.add(sums, b.mul(sums_stride, number(n)))
        store(b, b.fadd(load(b, out, 0, VECTOR), b.load(total)), out, 0)


@intrinsic
def add_tile(
    typing: Any,
    left: Any,
    left_stride: Any,
    right: Any,
    right_stride: Any,
    rows: Any,
    sums: Any,
    sums_stride: Any,
) -> Any:
    """Add the sums over rows of TALL left columns times LANES right columns to `sums`."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        _tile(TALL, b, arguments)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 7), generate


@intrinsic
def add_low_tile(
    typing: Any,
    left: Any,
    left_stride: Any,
    right: Any,
    right_stride: Any,
    rows: Any,
    sums: Any,
    sums_stride: Any,
) -> Any:
    """Add the sums over rows of LOW left columns times LANES right columns to `sums`."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        _tile(LOW, b, arguments)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 7), generate


@intrinsic
def add_strip(
    typing: Any,
    left: Any,
    left_stride: Any,
    right: Any,
    right_stride: Any,
    rows: Any,
    sums: Any,
    sums_stride: Any,
) -> Any:
    """Add the sums over rows of one left column times LANES right columns to `sums`."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        _tile(1, b, arguments)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 7), generate


@intrinsic
def write_row_sums(
    typing: Any, dense: Any, stride: Any, vectors: Any, rows: Any, factors: Any, sums: Any
) -> Any:
    """Write each row's sum of its values times `factors`; a row is of so many vectors."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        dense, stride, vectors, rows, factors, sums = arguments
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        total = cgutils.alloca_once(b, VECTOR)
        with cgutils.for_range(b, rows) as loop:
            row = b.add(dense, b.mul(loop.index, stride))
            b.store(zero, total)
            with cgutils.for_range(b, vectors) as inner:
                at = b.mul(inner.index, number(8 * LANES))
                product = b.fmul(
                    load(b, b.add(row, at), 0, VECTOR), load(b, b.add(factors, at), 0, VECTOR)
                )
                b.store(b.fadd(b.load(total), product), total)
            store(b, _across(b, b.load(total)), b.add(sums, b.mul(loop.index, number(8))), 0)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 6), generate


def _across(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Return the sum of a vector's lanes, in pairs."""
    values = [b.extract_element(vector, ir.Constant(INT, n)) for n in range(LANES)]
    while len(values) > 1:
        values = [b.fadd(values[n], values[n + 1]) for n in range(0, len(values), 2)]
    return values[0]
