"""Write and read a model file: one safetensors file, arrays and manifest, mapped without a copy.

The format is the safetensors library's: 8 bytes with the header's length, a JSON header, the
arrays. Our manifest is JSON under `__metadata__`, next to a SHA-256 over manifest and arrays. The
library writes; reading is our own small code, since the library's copies every array.
"""

import hashlib
import json
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import save

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.check import check_arrays
from kyros_spark.model.manifest import FORMAT_VERSION, Manifest

MAX_HEADER_BYTES = 16 << 20
DTYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4",
        "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model: what it is, its arrays by name, and its kernel tables if a host has built them."""

    manifest: Manifest
    arrays: dict[str, np.ndarray]
    tables: dict[str, np.ndarray] | None = None


def model_to_bytes(model: Model) -> bytes:
    """Return the model file; raises ModelFormatError for arrays that `read_model` would refuse."""
    check_arrays(model.manifest, model.arrays)
    manifest = model.manifest.model_dump_json()
    metadata = {"manifest": manifest, "sha256": _content_hash(manifest, model.arrays)}
    arrays = {name: np.ascontiguousarray(array) for name, array in model.arrays.items()}
    return _with_sorted_header(save(arrays, metadata))


def _with_sorted_header(data: bytes) -> bytes:
    """Write the header's keys in order: the library's varies, and the file's hash with it."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def model_hash(data: bytes) -> str:
    """Return the SHA-256 of a whole model file, in hex: its name on a host."""
    return hashlib.sha256(data).hexdigest()


def read_model(buffer: bytes | memoryview | mmap.mmap, trusted: bool = False) -> Model:
    """Read a model file; its arrays are read-only views of `buffer`.

    Everything is checked, hash included, and ModelFormatError names what is wrong. `trusted`
    leaves out what would touch every page: only for a file this host has checked before, which
    scoring/host.py keeps account of.
    """
    metadata, arrays = read_arrays(buffer)
    text = metadata.get("manifest")
    if not isinstance(text, str):
        raise ModelFormatError("not a Kyros model file: no manifest in its header")
    manifest = _read_manifest(text)
    if not trusted:
        found = _content_hash(text, arrays)
        if found != metadata.get("sha256"):
            raise ModelFormatError(f"sha256: expected {metadata.get('sha256')}, found {found}")
        check_arrays(manifest, arrays)
    return Model(manifest, arrays)


def read_arrays(
    buffer: bytes | memoryview | mmap.mmap,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the metadata and the arrays of a safetensors file, as views of `buffer`."""
    view = memoryview(buffer).toreadonly()
    header, data_start = _read_header(view)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ModelFormatError("header: __metadata__ is not an object")
    arrays, spans = {}, []
    for name, entry in header.items():
        array, span = _read_array(view, data_start, name, entry)
        arrays[name] = array
        spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise ModelFormatError(f"arrays overlap or leave a gap at byte {first}, not {end}")
        end = last
    if data_start + end != len(view):
        raise ModelFormatError(f"file size: expected {data_start + end} bytes, found {len(view)}")
    return metadata, arrays


def _read_header(view: memoryview) -> tuple[dict[str, Any], int]:
    if len(view) < 8:
        raise ModelFormatError(f"file size: expected at least 8 bytes, found {len(view)}")
    length = int.from_bytes(view[:8], "little")
    if length > MAX_HEADER_BYTES or 8 + length > len(view):
        raise ModelFormatError(f"header: {length} bytes do not fit a file of {len(view)}")
    try:
        header = json.loads(bytes(view[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ModelFormatError("header is not a JSON object")
    return header, 8 + length


def _read_array(
    view: memoryview, data_start: int, name: str, entry: Any
) -> tuple[np.ndarray, tuple[int, int]]:
    try:
        dtype = DTYPES[entry["dtype"]]
        shape = entry["shape"]
        first, last = entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise ModelFormatError(f"{name}: header entry {str(entry)[:100]} is not an array") from None
    whole = [*shape, first, last] if isinstance(shape, list) else [None]
    if not all(type(number) is int and number >= 0 for number in whole):
        raise ModelFormatError(f"{name}: shape or offsets are not whole numbers")
    count = 1
    for size in shape:
        count *= size
    available = len(view) - data_start
    if last > available or last - first != count * dtype.itemsize:
        expected = f"{count * dtype.itemsize} bytes within {available}"
        raise ModelFormatError(f"{name}: expected {expected}, found {first} to {last}")
    try:
        array = np.frombuffer(view, dtype, count, data_start + first).reshape(shape)
    except ValueError as error:
        raise ModelFormatError(f"{name}: {error}") from None
    if not array.flags.aligned:  # kernels are compiled for aligned arrays
        array = array.copy()
        array.flags.writeable = False
    return array, (first, last)


def _read_manifest(text: str) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelFormatError(f"manifest: {where}: {first['msg']}") from None
    if not 1 <= manifest.format_version <= FORMAT_VERSION:
        known = f"1 to {FORMAT_VERSION}"
        found = manifest.format_version
        raise ModelFormatError(f"format_version: this release reads {known}, the file has {found}")
    return manifest


def _content_hash(manifest: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(manifest.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()
