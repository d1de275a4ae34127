"""Damage an XGBoost file in UBJSON: its structure in JSON, written back in binary form."""

import contextlib
import functools
import json
import struct

import numpy as np
import xgboost

INTEGERS = {"default_left": "U", "split_type": "U", "values": "i"}
INTEGERS |= {"categories_segments": "L", "categories_sizes": "L"}  # others are "l"
UBJSON = {"U": ">u1", "i": ">i1", "l": ">i4", "L": ">i8", "d": ">f4"}
PLAIN = ("iteration_indptr", "tree_info", "feature_segments", "sorted_idx", "version")


def as_ubjson(value, name=""):
    """Write a document the way XGBoost does, its arrays of numbers with a type."""
    if isinstance(value, dict):
        pairs = [sized(key.encode()) + as_ubjson(one, key) for key, one in value.items()]
        return b"{" + b"".join(pairs) + b"}"
    if isinstance(value, list):
        start = struct.pack(">q", len(value))
        kinds = {type(one) for one in value}
        mark = "d" if kinds == {float} else INTEGERS.get(name, "l")
        if kinds and kinds <= {int, float} and name not in PLAIN:
            with contextlib.suppress(OverflowError, ValueError), np.errstate(over="ignore"):
                return (
                    b"[$" + mark.encode() + b"#L" + start + np.array(value, UBJSON[mark]).tobytes()
                )
        return b"[#L" + start + b"".join(map(as_ubjson, value))
    if isinstance(value, str):
        return b"S" + sized(value.encode())
    if type(value) is int and -(2**63) <= value < 2**63:
        mark = "l" if abs(value) < 2**31 else "L"
        return mark.encode() + np.array(value, UBJSON[mark]).tobytes()
    return b"Z" if value is None else b"d" + np.array(float(value), ">f4").tobytes()


def sized(text):
    return b"L" + struct.pack(">q", len(text)) + text


@functools.cache
def as_json(data):
    return bytes(xgboost.Booster(model_file=bytearray(data)).save_raw("json"))


def in_binary(way):
    """Return what a way does to JSON, done to the binary form."""

    def changed(data, rng):
        with np.errstate(over="ignore"):
            return as_ubjson(json.loads(way(as_json(data), rng)))

    return changed
