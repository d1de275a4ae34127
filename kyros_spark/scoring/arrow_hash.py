"""Hash the features behind a prediction exactly as `transforms/encode.py`'s `input_hash` does."""

import logging
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.kernels.compile import CompileError, compiled, read_only, writable
from kyros_spark.kernels.number_hash import hash_doubles, hash_floats
from kyros_spark.kernels.row_hash import hash_flags, hash_numbers, hash_texts, seeds
from kyros_spark.scoring.arrow_features import is_null
from kyros_spark.scoring.kernel_calls import frozen

LOG = logging.getLogger(__name__)
_WORTH_A_KERNEL = 2_000  # rows, below which loading a kernel takes longer than NumPy's passes


def row_hashes(columns: Iterable[pa.Array], rows: int) -> np.ndarray:
    """Return int64[rows] from columns of floats and texts, in their order."""
    hashes = seeds(rows)
    for column in columns:
        missing = is_null(column)
        if not pa.types.is_floating(column.type):
            hashes = hash_texts(*_bytes_of(column), hash_flags(missing, hashes))
            continue
        values = pc.fill_null(column, 0.0) if column.null_count else column
        hashes = _with_numbers(values.to_numpy(zero_copy_only=False), missing, hashes)
    return hashes.view(np.int64)


def _with_numbers(numbers: np.ndarray, missing: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes after a column of float64[n] or float32[n]."""
    kernel = _kernel(numbers.dtype) if numbers.size >= _WORTH_A_KERNEL else None
    if kernel is None:
        return hash_numbers(numbers, ~missing, hash_flags(missing, hashes))
    bits = np.ascontiguousarray(numbers).view(f"u{numbers.itemsize}")
    kernel(frozen(bits), frozen(missing.view(np.uint8)), hashes)
    return hashes


@cache
def _kernel(dtype: np.dtype) -> Callable[..., None] | None:
    """Return the compiled loop over numbers of a type, or None where it does not compile."""
    function, bits = (hash_doubles, "u8") if dtype == np.float64 else (hash_floats, "u4")
    try:
        return compiled(function, read_only(bits), read_only("u1"), writable("u8"))
    except CompileError as error:
        LOG.warning("%s; hashing without it", error)
        return None


def _bytes_of(column: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bytes of the distinct texts, and where each row's begin and how many it has."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    texts = pc.cast(column.dictionary, pa.binary()).to_pylist()
    sizes = np.array([*map(len, texts), -1], np.int64)  # the last is for a missing text
    starts = np.concatenate([[0], np.cumsum(sizes[:-1])])
    indices = pc.fill_null(column.indices, -1) if column.null_count else column.indices
    places = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), starts[places], sizes[places]
