"""Hash the features behind a prediction exactly as `transforms/encode.py`'s `input_hash` does."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.kernels.row_hash import hash_flags, hash_numbers, hash_texts, seeds
from kyros_spark.scoring.arrow_features import is_null


def row_hashes(columns: Iterable[pa.Array], rows: int) -> np.ndarray:
    """Return int64[rows] from columns of floats and texts, in their order."""
    hashes = seeds(rows)
    for column in columns:
        missing = is_null(column)
        hashes = hash_flags(missing, hashes)
        if pa.types.is_floating(column.type):
            values = pc.fill_null(column, 0.0) if column.null_count else column
            numbers = values.to_numpy(zero_copy_only=False)
            hashes = hash_numbers(numbers, ~missing, hashes)
        else:
            hashes = hash_texts(*_bytes_of(column), hashes)
    return hashes.view(np.int64)


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
