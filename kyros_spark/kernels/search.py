"""Search a heap of cuts for several values side by side: the steps of quantise.py.

Arguments that are called `value` or `cut` only tell, by their type, what lies at an address.
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
    """Code eight values, on any CPU: eight searches that do not wait for each other."""
    value_kind, value_size = _kind(value)
    cut_kind, cut_size = _kind(cut)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, _, heap, _, steps, codes = arguments
        found = [load(b, values, value_size * row, value_kind) for row in range(8)]
        if value_size > cut_size:
            found = [b.fptrunc(one, cut_kind) for one in found]
        elif value_size < cut_size:
            found = [b.fpext(one, cut_kind) for one in found]
        nodes = _descend(b, found, heap, steps, cut_kind, cut_size)
        before = b.sub(b.shl(number(1), steps), number(1))
        for row, (node, one) in enumerate(zip(nodes, found, strict=True)):
            known = b.fcmp_ordered("ord", one, one)
            code = b.select(known, b.sub(node, before), number(0))
            store(b, b.trunc(code, BYTE), codes, row)
        return context.get_dummy_value()

    return types.void(ADDRESS, value, ADDRESS, cut, types.int64, ADDRESS), generate


def _descend(
    b: ir.IRBuilder,
    found: list[ir.Value],
    heap: ir.Value,
    steps: ir.Value,
    cut_kind: ir.Type,
    cut_size: int,
) -> list[ir.Value]:
    """Loop `steps` times over all searches; return the heap entries they end at."""
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    step = b.phi(LONG)
    step.add_incoming(number(0), before)
    nodes = [b.phi(LONG) for _ in found]
    below = []
    for node, one in zip(nodes, found, strict=True):
        place = b.add(heap, b.mul(node, number(cut_size)))
        reached = b.fcmp_ordered("<=", load(b, place, 0, cut_kind), one)
        below.append(b.add(b.add(node, node), b.zext(reached, LONG)))
        node.add_incoming(number(1), before)
        node.add_incoming(below[-1], loop)
    further = b.add(step, number(1))
    step.add_incoming(further, loop)
    b.cbranch(b.icmp_unsigned("<", further, steps), loop, after)
    b.position_at_end(after)
    return below


def _entries(b: ir.IRBuilder, tables: list[ir.Value], node: ir.Value, step: int) -> ir.Value:
    """Read heap entries `node`, which lie between 2**step and 2**(step + 1)."""
    if step < 5:
        return x86(b, "avx512.permvar.sf.512", FLOATS, tables[step // 4], node)
    first = (1 << step) // 16
    found = [
        x86(b, "avx512.vpermi2var.ps.512", FLOATS, tables[k], node, tables[k + 1])
        for k in range(first, 2 * first, 2)
    ]
    bit = 5
    while len(found) > 1:
        set_ = b.icmp_signed("!=", b.and_(node, constant(INT, [1 << bit] * 16)), NO_INTS)
        found = [b.select(set_, found[k + 1], found[k]) for k in range(0, len(found), 2)]
        bit += 1
    return found[0]


def _take_back(b: ir.IRBuilder, rank: ir.Value, wide: ir.Value, lower: ir.Value) -> ir.Value:
    """Lower each rank by one where the cut it has reached is above the exact value."""
    doubles, every = lanes(DOUBLE, 8), ir.Constant(lanes(BIT, 8), [1] * 8)
    scale, base = ir.Constant(INT, 8), b.inttoptr(lower, BYTE.as_pointer())
    none = constant(DOUBLE, [0.0] * 8)
    halves = []
    for half in (list(range(8)), list(range(8, 16))):
        places = pick(b, rank, rank, half)
        name = "avx512.mask.gather.dpd.512"
        reached = x86(b, name, doubles, none, base, places, every, scale)
        halves.append(b.fcmp_ordered(">", reached, pick(b, wide, wide, half)))
    return b.sub(rank, b.zext(pick(b, *halves, list(range(16))), INTS))


def _code_64(steps: int, value: Any, exact: Any) -> Any:
    """Code 64 values by AVX-512: a permute reads 16 heap entries, or 32, from registers."""
    value_kind, value_size = _kind(value)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, _, heap, lower, _, codes = arguments
        tables = [load(b, heap, 64 * k, FLOATS) for k in range((1 << steps) // 16)]
        with cgutils.for_range(b, number(4)) as loop:
            first = b.mul(loop.index, number(16))
            place = b.add(values, b.mul(first, number(value_size)))
            wide = load(b, place, 0, lanes(value_kind, 16))
            found = b.fptrunc(wide, FLOATS) if value_size == 8 else wide
            node = constant(INT, [1] * 16)
            for step in range(steps):
                reached = b.fcmp_ordered("<=", _entries(b, tables, node, step), found)
                node = b.add(b.add(node, node), b.zext(reached, INTS))
            rank = b.sub(node, constant(INT, [1 << steps] * 16))
            if exact == types.float64:
                rank = _take_back(b, rank, wide, lower)
            known = b.fcmp_ordered("ord", found, found)
            code = b.select(known, b.add(rank, constant(INT, [1] * 16)), NO_INTS)
            store(b, b.trunc(code, lanes(BYTE, 16)), b.add(codes, first), 0)
        return context.get_dummy_value()

    return types.void(ADDRESS, value, ADDRESS, ADDRESS, exact, ADDRESS), generate


@intrinsic
def code_64_by_4(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values by four steps (up to 15 cuts); float64 `exact`: see `_take_back`."""
    return _code_64(4, value, exact)


@intrinsic
def code_64_by_6(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values by six steps (up to 63 cuts); float64 `exact`: see `_take_back`."""
    return _code_64(6, value, exact)


@intrinsic
def code_64_by_8(
    typing: Any, values: Any, value: Any, heap: Any, lower: Any, exact: Any, codes: Any
) -> Any:
    """Code 64 values by eight steps (up to 255 cuts); float64 `exact`: see `_take_back`."""
    return _code_64(8, value, exact)
