"""Write vector code for Numba: small helpers over llvmlite.

The vectors are plain LLVM vectors of a fixed logical width (64 bytes and more). LLVM splits them
into the registers the CPU has: one AVX-512 register, two AVX2, four SSE2 or NEON. So the same code
runs on any CPU; only code that names an `llvm.x86` instruction is bound to one.
"""

from llvmlite import ir

BIT = ir.IntType(1)
BYTE = ir.IntType(8)
INT = ir.IntType(32)
LONG = ir.IntType(64)
FLOAT = ir.FloatType()
DOUBLE = ir.DoubleType()


def lanes(kind: ir.Type, count: int) -> ir.VectorType:
    """Return the type of a vector of `count` values."""
    return ir.VectorType(kind, count)


def constant(kind: ir.Type, values: list[int] | list[float]) -> ir.Constant:
    """Return a constant vector."""
    return ir.Constant(lanes(kind, len(values)), values)


def number(value: int) -> ir.Constant:
    """Return a 64-bit constant."""
    return ir.Constant(LONG, value)


def load(b: ir.IRBuilder, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
    """Load a value of type `kind` from `address + offset`, which need not be aligned."""
    return b.load(_pointer(b, address, offset, kind), align=1)


def store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, offset: int) -> None:
    """Store a value to `address + offset`, which need not be aligned."""
    b.store(value, _pointer(b, address, offset, value.type), align=1)


def splat(b: ir.IRBuilder, value: ir.Value, count: int) -> ir.Value:
    """Return a vector with `value` in every lane."""
    undefined = ir.Constant(lanes(value.type, count), ir.Undefined)
    first = b.insert_element(undefined, value, ir.Constant(INT, 0))
    return b.shuffle_vector(first, undefined, constant(INT, [0] * count))


def pick(b: ir.IRBuilder, first: ir.Value, second: ir.Value, indices: list[int]) -> ir.Value:
    """Return the lanes at `indices` of the concatenation of `first` and `second`."""
    return b.shuffle_vector(first, second, constant(INT, indices))


def x86(b: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """Call the instruction `llvm.x86.NAME`."""
    full = f"llvm.x86.{name}"
    function = b.module.globals.get(full)
    if function is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = ir.Function(b.module, kind, full)
    return b.call(function, arguments)


def prefetch(b: ir.IRBuilder, address: ir.Value) -> None:
    """Ask for the cache line at `address`, which need not exist."""
    pointer = b.inttoptr(address, BYTE.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, INT, INT, INT])
    function = b.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
    to_read, keep, data = ir.Constant(INT, 0), ir.Constant(INT, 3), ir.Constant(INT, 1)
    b.call(function, [pointer, to_read, keep, data])


def _pointer(b: ir.IRBuilder, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
    location = b.add(address, number(offset)) if offset else address
    return b.inttoptr(location, kind.as_pointer())
