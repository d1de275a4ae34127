"""Damage a model file: its bytes, its numbers, its lines or its structure."""

import contextlib
import json
import re

import numpy as np

ODD = [0, 1, -1, 2, 3, 7, 31, 32, 255, 256, 65536, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, -(2**31)]
ODD += [0.5, -0.5, -0.0, 1e-45, 1e-35, 1e-320, 3.5e38, 1e300, 1e400, "nan", "inf", "-inf", "x", ""]


def by_bytes(data, rng):
    """Overwrite, insert, delete, double or cut."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, len(data))), int(rng.integers(1, 9))
        kind = rng.integers(0, 5)
        if kind == 0:
            data[at] = rng.integers(0, 256)
        elif kind == 1:
            data[at:at] = rng.bytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + 10 * length]
        else:
            data[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, 1e30, 0, -1])).tobytes()
    return bytes(data)


def by_numbers(data, rng):
    """Put an odd number, or another one of the file, in the place of one to three."""
    data = re.sub(rb"\ntree_sizes=.*", b"", data)  # else every change of length is refused
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?", data))
    for number in sorted(rng.integers(0, len(found), rng.integers(1, 4)), reverse=True):
        start, end = found[number].span()
        other = rng.integers(0, len(found))
        new = (
            str(ODD[rng.integers(0, len(ODD))]).encode() if rng.random() < 0.6 else found[other][0]
        )
        data = data[:start] + new + data[end:]
    return data


def by_lines(data, rng):
    """Delete, double or exchange lines, or give one line's value to another."""
    lines = re.sub(rb"\ntree_sizes=.*", b"", data).split(b"\n")
    a, b = (int(one) for one in rng.integers(0, len(lines), 2))
    kind = rng.integers(0, 4)
    if kind == 0:
        del lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    elif kind == 2:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines[a] = lines[a].partition(b"=")[0] + b"=" + lines[b].partition(b"=")[2]
    return b"\n".join(lines)


def by_structure(data, rng):
    """Delete a key of a JSON document, or put an odd or another value in its place."""
    document = json.loads(data)
    places = []

    def walk(node):
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(document)
    for _ in range(rng.integers(1, 3)):
        node, key = places[rng.integers(0, len(places))]
        other, place = places[rng.integers(0, len(places))]
        with contextlib.suppress(KeyError, IndexError):
            kind = rng.integers(0, 3)
            if kind == 0:
                del node[key]
            elif kind == 1:
                node[key] = ODD[rng.integers(0, len(ODD))]
            else:
                node[key] = json.loads(json.dumps(other[place]))
    return json.dumps(document).encode()


def by_attributes(data, rng):
    """Change an ONNX operator's attributes: a value, a length, or all of one."""
    import onnx

    model = onnx.load_from_string(data)
    attributes = [one for node in model.graph.node for one in node.attribute]
    for _ in range(rng.integers(1, 3)):
        one = attributes[rng.integers(0, len(attributes))]
        values = next((v for v in (one.ints, one.floats, one.strings) if len(v)), None)
        if values is None:
            continue
        at, kind = int(rng.integers(0, len(values))), rng.integers(0, 3)
        if kind == 0:
            del values[at]
        elif kind == 1:
            values[at] = values[int(rng.integers(0, len(values)))]
        else:
            odd = {"i": [0, 1, 2, 7, -1, 2**31, 2**62], "f": [np.nan, np.inf, -np.inf, 1e30, 0.0]}
            odd["s"] = [b"LEAF", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_EQ", b"x"]
            pool = odd["i" if values is one.ints else "f" if values is one.floats else "s"]
            values[at] = pool[rng.integers(0, len(pool))]
    return model.SerializeToString()
