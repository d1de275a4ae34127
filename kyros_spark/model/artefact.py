"""Write and read model files: one safetensors file of arrays and manifest, mapped without a copy.

The format is that of the safetensors library: 8 bytes for the header's length, a JSON header, then
the arrays. Our manifest is JSON under `__metadata__`, next to a SHA-256 over manifest and arrays.
The library writes the file. Our own small reader reads it, because the library's copies every
array.
"""

import hashlib
import json
import math
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import save

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.check import check_arrays
from kyros_spark.model.json_text import read_json
from kyros_spark.model.manifest import FORMAT_VERSION, Manifest

MAX_HEADER_BYTES = 16 << 20
MAX_DIMENSIONS = 8
DTYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4",
        "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model: its manifest, its arrays by name, and its kernel tables once a host built them."""

    manifest: Manifest
    arrays: dict[str, np.ndarray]
    tables: dict[str, np.ndarray] | None = None


def model_to_bytes(model: Model) -> bytes:
    """Return the bytes of a model file.

    Raises ModelFormatError for arrays that `read_model` would refuse.
    """
    check_arrays(model.manifest, model.arrays)
    manifest = model.manifest.model_dump_json()
    metadata = {"manifest": manifest, "sha256": _content_hash(manifest, model.arrays)}
    arrays = {name: np.ascontiguousarray(array) for name, array in model.arrays.items()}
    return _with_sorted_header(save(arrays, metadata))


def _with_sorted_header(data: bytes) -> bytes:
    """Sort the header's keys: the library's order varies, and the file's hash would too."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def model_hash(data: bytes | memoryview) -> str:
    """Return the SHA-256 of a whole model file in hex, which is the file's name on a host."""
    return hashlib.sha256(data).hexdigest()


def read_model(buffer: bytes | memoryview | mmap.mmap, trusted: bool = False) -> Model:
    """Read a model file and check all of it, hash included; its arrays are views of `buffer`.

    The views are read-only.

    trusted  skips the checks that touch every page, the hash's among them. It is only for a file
             that this host has checked before; scoring/host_store.py records which ones.

    Raises ModelFormatError, which names the fault.
    """
    metadata, arrays = read_arrays(buffer)
    manifest_text = metadata.get("manifest")
    if not isinstance(manifest_text, str):
        raise ModelFormatError("not a Kyros model file: no manifest in its header")
    manifest = _read_manifest(manifest_text)
    if not trusted:
        read_json(manifest_text, "manifest")  # which refuses a key that occurs twice
        content_hash = _content_hash(manifest_text, arrays)
        if content_hash != metadata.get("sha256"):
            raise ModelFormatError(
                f"sha256: expected {metadata.get('sha256')}, found {content_hash}"
            )
        check_arrays(manifest, arrays)
    return Model(manifest, arrays)


def read_arrays(
    buffer: bytes | memoryview | mmap.mmap,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a safetensors file's metadata and its arrays, which are views of `buffer`.

    Raises ModelFormatError for a damaged header, and for arrays that overlap or leave gaps.
    """
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
    header = read_json(bytes(view[8 : 8 + length]), "header")
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
    numbers = [*shape, first, last] if isinstance(shape, list) else [None]
    if not all(type(number) is int and 0 <= number < 1 << 63 for number in numbers):
        raise ModelFormatError(f"{name}: shape or offsets are not whole numbers of 63 bits")
    if len(shape) > MAX_DIMENSIONS:
        raise ModelFormatError(f"{name}: {len(shape)} dimensions, at most {MAX_DIMENSIONS}")
    count = math.prod(shape)
    available = len(view) - data_start
    if last > available or last - first != count * dtype.itemsize:
        expected = f"{count * dtype.itemsize} bytes within {available}"
        raise ModelFormatError(f"{name}: expected {expected}, found {first} to {last}")
    try:
        array = np.frombuffer(view, dtype, count, data_start + first).reshape(shape)
    except ValueError as error:
        raise ModelFormatError(f"{name}: {error}") from None
    if not array.flags.aligned:  # the kernels are compiled for aligned arrays
        array = array.copy()
        array.flags.writeable = False
    return array, (first, last)


def _read_manifest(text: str) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelFormatError(f"manifest: {field}: {first['msg']}") from None
    if not 1 <= manifest.format_version <= FORMAT_VERSION:
        supported = f"1 to {FORMAT_VERSION}"
        file_version = manifest.format_version
        raise ModelFormatError(
            f"format_version: this release reads {supported}, the file has {file_version}"
        )
    return manifest


def _content_hash(manifest: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(manifest.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()
