"""Read ONNX files: the parts of Protocol Buffers, and of onnx.proto, that importing models needs.

This is a small reader of our own, for some twenty fields: the `onnx` package would bring its own
protobuf, whose version platforms pin for Spark Connect. Fields not listed here are skipped.
"""

import struct
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError

MAX_DEPTH = 16
FIRST_RUN_BYTES, LARGEST_RUN_BYTES = 1 << 6, 1 << 16  # decoded at once, some of them in vain
MAX_VARINT_BYTES = 10
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# Message -> field number -> (name, content: a kind of number, text, bytes or a message, repeated)
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
        20: ("type", "int", False),
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


def read_message(data: bytes, kind: str = "Model", depth: int = 0) -> dict[str, Any]:
    """Return a message's fields by name; repeated numbers become arrays, absent fields are missing.

    kind   the type of the message, a key of MESSAGES
    depth  the number of messages around this one

    Raises ModelFormatError when the bytes are not such a message.
    """
    if depth > MAX_DEPTH:
        raise ModelFormatError(f"ONNX model: messages nested deeper than {MAX_DEPTH}")
    fields, offset = MESSAGES[kind], 0
    message: dict[str, Any] = {}
    while offset < len(data):
        key, start = _varint(data, offset)
        wire = key & 7
        name, content, repeated = fields.get(key >> 3, ("", "", False))
        if not name:
            offset = _skip(data, start, wire)
            continue
        if repeated and (content == "int" or content in FLOATS):
            value, offset = _numbers(data, offset, start, key, content)
            message.setdefault(name, []).append(value)
            continue
        value, offset = _value(data, start, wire, content, depth)
        if repeated:
            message.setdefault(name, []).append(value)
        elif message.setdefault(name, value) is not value:
            # Other readers take the last of two numbers, and merge two messages.
            raise ModelFormatError(f"ONNX model: {kind}.{name} occurs twice at byte {offset}")
    for name, content, repeated in fields.values():
        if repeated and (content == "int" or content in FLOATS) and name in message:
            message[name] = np.concatenate(message[name])
    return message


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise ModelFormatError(f"ONNX model: no number at byte {offset} of a message")
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 0x80:
            return value, offset


def _end_of(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise ModelFormatError(
            f"ONNX model: {size} bytes wanted at {offset}, the message ends before"
        )
    return offset + size


def _skip(data: bytes, offset: int, wire: int) -> int:
    if wire == VARINT:
        return _varint(data, offset)[1]
    if wire == BYTES:
        size, offset = _varint(data, offset)
        return _end_of(data, offset, size)
    if wire not in (FIXED32, FIXED64):
        raise ModelFormatError(f"ONNX model: unknown wire type {wire} at byte {offset}")
    return _end_of(data, offset, 4 if wire == FIXED32 else 8)


def _value(data: bytes, offset: int, wire: int, content: str, depth: int) -> tuple[Any, int]:
    expected = {"int": VARINT, "float": FIXED32}.get(content, BYTES)
    if wire != expected:
        raise ModelFormatError(f"ONNX model: wire type {wire} for {content} at byte {offset}")
    if content == "int":
        value, offset = _varint(data, offset)
        return value - (1 << 64) if value >> 63 else value, offset
    if content == "float":
        end = _end_of(data, offset, 4)
        return struct.unpack("<f", data[offset:end])[0], end
    size, offset = _varint(data, offset)
    end = _end_of(data, offset, size)
    part = data[offset:end]
    if content == "bytes":
        return part, end
    if content != "text":
        return read_message(part, content, depth + 1), end
    try:
        return part.decode(), end
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"ONNX model: text at byte {offset} is not UTF-8") from error


def _numbers(
    data: bytes, offset: int, start: int, key: int, content: str
) -> tuple[np.ndarray, int]:
    """Read repeated numbers: packed into one field, or as a run of fields with the same key.

    offset, start  where the first field's key begins, and where its value begins

    The attributes of forests are such runs, millions of fields long, so a run is read at once.
    Returns the numbers, and the offset of the first byte after them.
    """
    if key & 7 == BYTES:
        size, start = _varint(data, start)
        end = _end_of(data, start, size)
        if content == "int":
            numbers, ends = _varints(data[start:end])
            _check_whole(ends, size, start)
            return numbers, end
        if size % FLOATS[content][1].itemsize:
            raise ModelFormatError(f"ONNX model: {size} bytes of packed {content} at {start}")
        return np.frombuffer(data[start:end], FLOATS[content][1]), end
    if start - offset != 1 or key & 7 != (VARINT if content == "int" else FLOATS[content][0]):
        raise ModelFormatError(f"ONNX model: wire type {key & 7} for {content} at byte {offset}")
    runs, window, first = [], FIRST_RUN_BYTES, offset
    while True:
        run, end = _run(data, offset, window, key, content)
        runs.append(run)
        # What lies beyond the run's end is decoded in vain. The window grows with the run, so that
        # many short runs cost no more than their bytes.
        if end == offset or end == len(data) or end - offset < window // 2:
            break
        offset, window = end, min(2 * window, LARGEST_RUN_BYTES)
    if end == first:
        raise ModelFormatError(f"ONNX model: no {content} at byte {first} of a message")
    return np.concatenate(runs), end


def _run(data: bytes, offset: int, window: int, key: int, content: str) -> tuple[np.ndarray, int]:
    """Read the fields of one key from `offset` on, of at most `window` bytes.

    Returns a copy of the numbers, since a view would keep the whole window, and where they end.
    """
    part = data[offset : offset + window]
    if content == "int":
        numbers, ends = _varints(part)
        pairs = numbers.size // 2
        run = _leading_true(numbers[: 2 * pairs : 2] == key)
        end = offset + int(ends[2 * run - 1]) if run else offset
        _check_whole(ends[: 2 * run], end - offset, offset)
        return numbers[1 : 2 * run : 2].copy(), end
    dtype = FLOATS[content][1]
    width = 1 + dtype.itemsize
    rows = np.frombuffer(part, np.uint8, len(part) // width * width).reshape(-1, width)
    run = _leading_true(rows[:, 0] == key)
    values = np.ascontiguousarray(rows[:run, 1:]).view(dtype).ravel()
    return values, offset + run * width


def _check_whole(ends: np.ndarray, size: int, offset: int) -> None:
    """Refuse numbers that do not fill their bytes, or that are longer than 64 bits need."""
    lengths = np.diff(ends, prepend=0)
    if (ends[-1] if ends.size else 0) != size or (lengths > MAX_VARINT_BYTES).any():
        raise ModelFormatError(f"ONNX model: damaged numbers at byte {offset} of a message")


def _leading_true(flags: np.ndarray) -> int:
    """Return the number of True values at the array's beginning."""
    return int(flags.argmin()) if not flags.all() else flags.size


def _varints(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Decode all complete varints from the first byte on; return them and their ends (int64)."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 0x80) + 1
    if not ends.size:
        return np.zeros(0, np.int64), ends
    starts = np.concatenate([[0], ends[:-1]])
    group = np.arange(ends[-1]) - np.repeat(starts, ends - starts)
    shift = (7 * np.minimum(group, 9)).astype(np.uint64)
    bits = (octets[: ends[-1]] & 0x7F).astype(np.uint64) << shift
    return np.add.reduceat(bits, starts).view(np.int64), ends
