"""Pack a state as bytes: a header in JSON, and arrays as they lie in memory. Data only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def packed(header: Any, arrays: Sequence[np.ndarray]) -> bytes:
    """Return the header and the arrays as bytes that `unpacked` reads."""
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps([header, shapes]).encode()
    parts = [len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in arrays)]
    return b"".join(parts)


def unpacked(data: bytes) -> tuple[Any, list[np.ndarray]]:
    """Return the header and the arrays, which are read-only."""
    start = 8 + int.from_bytes(data[:8], "little")
    header, shapes = json.loads(data[8:start])
    arrays = []
    for kind, shape in shapes:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, np.dtype(kind), count, start).reshape(shape)
        start += array.nbytes
        arrays.append(array)
    return header, arrays
