"""Read ONNX files: as much of Protocol Buffers, and of onnx.proto, as models of ours need.

A small own reader: the `onnx` package would bring its own protobuf, whose version platforms pin for
Spark Connect, to read some twenty fields. Fields not named here are passed over.
"""

import struct
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError

MAX_DEPTH = 16
RUN_BYTES = 1 << 16  # decoded at once: what follows the run is decoded too, in vain
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# Message -> field number -> (name, what it holds: a kind of number, text, bytes or a message; many)
Fields = dict[int, tuple[str, str, bool]]
MESSAGES: dict[str, Fields] = {
    "Model": {
        2: ("producer_name", "text", False),
        3: ("producer_version", "text", False),
        7: ("graph", "Graph", False),
        14: ("metadata_props", "Entry", True),
    },
    "Entry": {1: ("key", "text", False), 2: ("value", "text", False)},
    "Graph": {
        1: ("node", "Node", True),
        5: ("initializer", "Tensor", True),
        11: ("input", "ValueInfo", True),
        12: ("output", "ValueInfo", True),
    },
    "Node": {
        1: ("input", "text", True),
        2: ("output", "text", True),
        4: ("op_type", "text", False),
        5: ("attribute", "Attribute", True),
        7: ("domain", "text", False),
    },
    "Attribute": {
        1: ("name", "text", False),
        2: ("f", "float", False),
        3: ("i", "int", False),
        4: ("s", "text", False),
        5: ("t", "Tensor", False),
        7: ("floats", "float", True),
        8: ("ints", "int", True),
        9: ("strings", "text", True),
    },
    "Tensor": {
        1: ("dims", "int", True),
        2: ("data_type", "int", False),
        4: ("float_data", "float", True),
        5: ("int32_data", "int", True),
        7: ("int64_data", "int", True),
        8: ("name", "text", False),
        9: ("raw_data", "bytes", False),
        10: ("double_data", "double", True),
        14: ("data_location", "int", False),
    },
    "ValueInfo": {1: ("name", "text", False), 2: ("type", "Type", False)},
    "Type": {1: ("tensor_type", "TensorType", False)},
    "TensorType": {1: ("elem_type", "int", False), 2: ("shape", "Shape", False)},
    "Shape": {1: ("dim", "Dimension", True)},
    "Dimension": {1: ("dim_value", "int", False)},
}
FLOATS: dict[str, tuple[int, Any]] = {
    "float": (FIXED32, np.dtype("<f4")),
    "double": (FIXED64, np.dtype("<f8")),
}
TENSOR_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 11: "<f8"}


def read_message(data: bytes, kind: str = "Model", depth: int = 0) -> dict[str, Any]:
    """Return a message's fields by name; repeated numbers become arrays, absent ones are left out.

    Raises ModelFormatError where the bytes are no such message.
    """
    if depth > MAX_DEPTH:
        raise ModelFormatError(f"ONNX model: messages nested deeper than {MAX_DEPTH}")
    known, at = MESSAGES[kind], 0
    found: dict[str, Any] = {}
    while at < len(data):
        key, start = _varint(data, at)
        wire = key & 7
        name, holds, many = known.get(key >> 3, ("", "", False))
        if not name:
            at = _skipped(data, start, wire)
            continue
        if many and (holds == "int" or holds in FLOATS):
            value, at = _numbers(data, at, start, key, holds)
            found.setdefault(name, []).append(value)
            continue
        value, at = _value(data, start, wire, holds, depth)
        if many:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    for name, holds, many in known.values():
        if many and (holds == "int" or holds in FLOATS) and name in found:
            found[name] = np.concatenate(found[name])
    return found


def tensor_array(tensor: dict[str, Any]) -> np.ndarray:
    """Return a tensor's content as an array."""
    kind = tensor.get("data_type", 0)
    if kind not in TENSOR_TYPES:
        raise ModelNotSupportedError(f"ONNX model: tensors of type {kind} are not supported")
    if tensor.get("data_location", 0):
        raise ModelNotSupportedError("ONNX model: tensors in other files are not supported")
    dtype = np.dtype(TENSOR_TYPES[kind])
    if "raw_data" in tensor:
        array = np.frombuffer(tensor["raw_data"], dtype)
    else:
        names = ("float_data", "int32_data", "int64_data", "double_data")
        array = next((tensor[name] for name in names if name in tensor), np.zeros(0)).astype(dtype)
    return array.reshape(tuple(tensor.get("dims", ())))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ModelFormatError(f"ONNX model: no number at byte {at} of a message")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _taken(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise ModelFormatError(f"ONNX model: {size} bytes wanted at {at}, the message ends before")
    return at + size


def _skipped(data: bytes, at: int, wire: int) -> int:
    if wire == VARINT:
        return _varint(data, at)[1]
    if wire == BYTES:
        size, at = _varint(data, at)
        return _taken(data, at, size)
    if wire not in (FIXED32, FIXED64):
        raise ModelFormatError(f"ONNX model: unknown wire type {wire} at byte {at}")
    return _taken(data, at, 4 if wire == FIXED32 else 8)


def _value(data: bytes, at: int, wire: int, holds: str, depth: int) -> tuple[Any, int]:
    expected = {"int": VARINT, "float": FIXED32}.get(holds, BYTES)
    if wire != expected:
        raise ModelFormatError(f"ONNX model: wire type {wire} for {holds} at byte {at}")
    if holds == "int":
        value, at = _varint(data, at)
        return value - (1 << 64) if value >> 63 else value, at
    if holds == "float":
        end = _taken(data, at, 4)
        return struct.unpack("<f", data[at:end])[0], end
    size, at = _varint(data, at)
    end = _taken(data, at, size)
    part = data[at:end]
    if holds == "bytes":
        return part, end
    if holds != "text":
        return read_message(part, holds, depth + 1), end
    try:
        return part.decode(), end
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"ONNX model: text at byte {at} is not UTF-8") from error


def _numbers(data: bytes, at: int, start: int, key: int, holds: str) -> tuple[np.ndarray, int]:
    """Read repeated numbers: packed into one field, or a run of fields with the same key.

    Attributes of forests are such runs, millions of fields long; they are read at once.
    """
    if key & 7 == BYTES:
        size, start = _varint(data, start)
        end = _taken(data, start, size)
        if holds == "int":
            return _varints(data[start:end])[0], end
        if size % FLOATS[holds][1].itemsize:
            raise ModelFormatError(f"ONNX model: {size} bytes of packed {holds} at {start}")
        return np.frombuffer(data[start:end], FLOATS[holds][1]), end
    if start - at != 1 or key & 7 != (VARINT if holds == "int" else FLOATS[holds][0]):
        raise ModelFormatError(f"ONNX model: wire type {key & 7} for {holds} at byte {at}")
    if holds == "int":
        numbers, ends = _varints(data[at : at + RUN_BYTES])
        pairs = numbers.size // 2
        run = _run(numbers[: 2 * pairs : 2] == key)
        if run:
            return numbers[1 : 2 * run : 2], at + int(ends[2 * run - 1])
    else:
        width = 1 + FLOATS[holds][1].itemsize
        rows = np.frombuffer(data, np.uint8, (len(data) - at) // width * width, at)
        run = _run(rows.reshape(-1, width)[:, 0] == key)
        if run:
            content = np.ascontiguousarray(rows.reshape(-1, width)[:run, 1:])
            return content.view(FLOATS[holds][1]).ravel(), at + run * width
    raise ModelFormatError(f"ONNX model: no {holds} at byte {at} of a message")


def _run(same: np.ndarray) -> int:
    """Return how many True the array begins with."""
    return int(same.argmin()) if not same.all() else same.size


def _varints(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Decode all whole varints from the first byte on; return them and where each ends."""
    content = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(content < 0x80) + 1
    if not ends.size:
        return np.zeros(0, np.int64), ends
    starts = np.concatenate([[0], ends[:-1]])
    place = np.arange(ends[-1]) - np.repeat(starts, ends - starts)
    shift = (7 * np.minimum(place, 9)).astype(np.uint64)
    bits = (content[: ends[-1]] & 0x7F).astype(np.uint64) << shift
    return np.add.reduceat(bits, starts).view(np.int64), ends
