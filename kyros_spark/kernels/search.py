"""Search a heap of cuts for several values side by side: the steps of quantise.py.

`values`, `heap`, `lower` and `codes` are addresses. Arguments called `value`, `cut` or `exact` only
give, by their type, the type of the values at an address.
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
    FLOAT,
    INT,
    LONG,
    constant,
    lanes,
    load,
    number,
    pick,
    store,
    x86,
)
from kyros_spark.kernels.row_bits import ADDRESS

FLOATS = lanes(FLOAT, 16)
INTS = lanes(INT, 16)
NO_INTS = constant(INT, [0] * 16)


def _kind(numba_type: Any) -> tuple[ir.Type, int]:
    return (FLOAT, 4) if numba_type == types.float32 else (DOUBLE, 8)


@intrinsic
def code_8(
    typing: Any, values: Any, value: Any, heap: Any, cut: Any, steps: Any, codes: Any
) -> Any:
    """Code eight values on any CPU, by eight searches that do not wait for each other."""
    value_kind, value_size = _kind(value)
    cut_kind, cut_size = _kind(cut)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, _, heap, _, steps, codes = arguments
        needles = [load(b, values, value_size * row, value_kind) for row in range(8)]
        if value_size > cut_size:
            needles = [b.fptrunc(needle, cut_kind) for needle in needles]
        elif value_size < cut_size:
            needles = [b.fpext(needle, cut_kind) for needle in needles]
        nodes = _descend(b, needles, heap, steps, cut_kind, cut_size)
        code_base = b.sub(b.shl(number(1), steps), number(1))
        for row, (node, needle) in enumerate(zip(nodes, needles, strict=True)):
            is_number = b.fcmp_ordered("ord", needle, needle)
            code = b.select(is_number, b.sub(node, code_base), number(0))
            store(b, b.trunc(code, BYTE), codes, row)
        return context.get_dummy_value()

    return types.void(ADDRESS, value, ADDRESS, cut, types.int64, ADDRESS), generate


def _descend(
    b: ir.IRBuilder,
    needles: list[ir.Value],
    heap: ir.Value,
    steps: ir.Value,
    cut_kind: ir.Type,
    cut_size: int,
) -> list[ir.Value]:
    """Loop `steps` times over all searches and return the heap entries where they end."""
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    step = b.phi(LONG)
    step.add_incoming(number(0), before)
    nodes = [b.phi(LONG) for _ in needles]
    children = []
    for node, needle in zip(nodes, needles, strict=True):
        entry = b.add(heap, b.mul(node, number(cut_size)))
        reached = b.fcmp_ordered("<=", load(b, entry, 0, cut_kind), needle)
        children.append(b.add(b.add(node, node), b.zext(reached, LONG)))
        node.add_incoming(number(1), before)
        node.add_incoming(children[-1], loop)
    next_step = b.add(step, number(1))
    step.add_incoming(next_step, loop)
    b.cbranch(b.icmp_unsigned("<", next_step, steps), loop, after)
    b.position_at_end(after)
    return children


def _entries(b: ir.IRBuilder, tables: list[ir.Value], node: ir.Value, step: int) -> ir.Value:
    """Read the heap entries `node`, which lie from 2**step up to 2**(step + 1)."""
    if step < 5:
        return x86(b, "avx512.permvar.sf.512", FLOATS, tables[step // 4], node)
    first = (1 << step) // 16
    entries = [
        x86(b, "avx512.vpermi2var.ps.512", FLOATS, tables[k], node, tables[k + 1])
        for k in range(first, 2 * first, 2)
    ]
    bit = 5
    while len(entries) > 1:
        is_set = b.icmp_signed("!=", b.and_(node, constant(INT, [1 << bit] * 16)), NO_INTS)
        entries = [b.select(is_set, entries[k + 1], entries[k]) for k in range(0, len(entries), 2)]
        bit += 1
    return entries[0]


def _correct_ranks(b: ir.IRBuilder, rank: ir.Value, wide: ir.Value, lower: ir.Value) -> ir.Value:
    """Lower each rank by one where the cut that it has reached is above the exact value."""
    doubles, all_lanes = lanes(DOUBLE, 8), ir.Constant(lanes(BIT, 8), [1] * 8)
    scale, base = ir.Constant(INT, 8), b.inttoptr(lower, BYTE.as_pointer())
    zeros = constant(DOUBLE, [0.0] * 8)
    halves = []
    for half in (list(range(8)), list(range(8, 16))):
        indices = pick(b, rank, rank, half)
        name = "avx512.mask.gather.dpd.512"
        reached = x86(b, name, doubles, zeros, base, indices, all_lanes, scale)
        halves.append(b.fcmp_ordered(">", reached, pick(b, wide, wide, half)))
    return b.sub(rank, b.zext(pick(b, *halves, list(range(16))), INTS))


def _code_64(steps: int, value: Any, exact: Any) -> Any:
    """Code 64 values with AVX-512: a permute reads 16 or 32 heap entries from registers."""
    value_kind, value_size = _kind(value)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, _, heap, lower, _, codes = arguments
        tables = [load(b, heap, 64 * k, FLOATS) for k in range((1 << steps) // 16)]
        with cgutils.for_range(b, number(4)) as loop:
            first = b.mul(loop.index, number(16))
            location = b.add(values, b.mul(first, number(value_size)))
            values_16 = load(b, location, 0, lanes(value_kind, 16))
            needles = b.fptrunc(values_16, FLOATS) if value_size == 8 else values_16
            node = constant(INT, [1] * 16)
            for step in range(steps):
                reached = b.fcmp_ordered("<=", _entries(b, tables, node, step), needles)
                node = b.add(b.add(node, node), b.zext(reached, INTS))
            rank = b.sub(node, constant(INT, [1 << steps] * 16))
            if exact == types.float64:
                rank = _correct_ranks(b, rank, values_16, lower)
            is_number = b.fcmp_ordered("ord", needles, needles)
            code = b.select(is_number, b.add(rank, constant(INT, [1] * 16)), NO_INTS)
            store(b, b.trunc(code, lanes(BYTE, 16)), b.add(codes, first), 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, value, ADDRESS, ADDRESS, exact, ADDRESS), generate


@intrinsic
def code_64_by_4(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values in four steps (up to 15 cuts); for float64 `exact` see `_correct_ranks`."""
    return _code_64(4, value, exact)


@intrinsic
def code_64_by_6(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values in six steps (up to 63 cuts); for float64 `exact` see `_correct_ranks`."""
    return _code_64(6, value, exact)


@intrinsic
def code_64_by_8(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values in eight steps (up to 255 cuts); for float64 `exact` see `_correct_ranks`."""
    return _code_64(8, value, exact)
