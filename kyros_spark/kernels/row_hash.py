"""Hash rows column by column as Spark's xxhash64 does, so that either may compute a hash.

Each column's hash is seeded by the hash of the columns before it; a missing value changes nothing.
Source: XXH64 of Yann Collet's xxHash, as in Spark's class catalyst.expressions.XXH64.
"""

from __future__ import annotations

import numpy as np

SEED = 42  # of Spark's function xxhash64
P1 = np.uint64(0x9E3779B185EBCA87)
P2 = np.uint64(0xC2B2AE3D27D4EB4F)
P3 = np.uint64(0x165667B19E3779F9)
P4 = np.uint64(0x85EBCA77C2B2AE63)
P5 = np.uint64(0x27D4EB2F165667C5)
_LANE_BYTES = 32


def seeds(rows: int) -> np.ndarray:
    """Return the hash of no columns, uint64[rows]."""
    return np.full(rows, SEED, np.uint64)


def hash_flags(flags: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes, uint64[n], after a column of booleans, bool[n]."""
    return _hash_word32(flags.astype(np.uint32), hashes)


def hash_numbers(values: np.ndarray, given: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes, uint64[n], after a column of float64[n] or float32[n].

    given: which values are there, bool[n].
    """
    plain = np.where(np.isnan(values), values.dtype.type(np.nan), values) + 0.0  # -0.0 is 0.0
    if values.dtype == np.float32:
        hashed = _hash_word32(plain.astype(np.float32).view(np.uint32), hashes)
    else:
        hashed = _hash_word64(plain.view(np.uint64), hashes)
    return np.where(given, hashed, hashes)


def hash_texts(
    data: np.ndarray, starts: np.ndarray, sizes: np.ndarray, hashes: np.ndarray
) -> np.ndarray:
    """Return the hashes, uint64[n], after a column of texts in UTF-8.

    data: the bytes of all texts, uint8. starts, sizes: where each row's text begins in them, and
    how many bytes it has, int64[n]; a missing text has a size below zero.
    """
    hashed = hashes.copy()
    for size in np.unique(sizes[sizes >= 0]).tolist():
        rows = np.flatnonzero(sizes == size)
        text = data[starts[rows, None] + np.arange(size)].reshape(rows.size, size)
        hashed[rows] = _hash_bytes(np.ascontiguousarray(text), hashes[rows])
    return hashed


def _hash_word32(words: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    return _mixed(_add_word32(hashes + P5 + np.uint64(4), words.astype(np.uint64)))


def _hash_word64(words: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    return _mixed(_add_word64(hashes + P5 + np.uint64(8), words))


def _hash_bytes(text: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes of texts of one size, uint8[n, size]."""
    size, done = text.shape[1], 0
    result = hashes + P5
    if size >= _LANE_BYTES:
        done = size // _LANE_BYTES * _LANE_BYTES
        result = _hash_lanes(_words(text[:, :done], np.uint64), hashes)
    result = result + np.uint64(size)
    for word in _words(text[:, done : size // 8 * 8], np.uint64).T:
        result = _add_word64(result, word)
    done = size // 8 * 8
    if size - done >= 4:
        word = _words(text[:, done : done + 4], np.uint32)[:, 0]
        result = _add_word32(result, word.astype(np.uint64))
        done += 4
    for n in range(done, size):
        result = _rotated(result ^ (text[:, n].astype(np.uint64) * P5), 11) * P1
    return _mixed(result)


def _hash_lanes(words: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes of blocks of 32 bytes, uint64[n, 4 x blocks], before their end is mixed."""
    lanes: list[np.ndarray] = [hashes + P1 + P2, hashes + P2, hashes, hashes - P1]
    for number, word in enumerate(words.T):
        lanes[number % 4] = _rotated(lanes[number % 4] + word * P2, 31) * P1
    result = np.zeros_like(hashes)
    for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True):
        result = result + _rotated(lane, bits)
    for sums in lanes:
        result = (result ^ (_rotated(sums * P2, 31) * P1)) * P1 + P4
    return result


def _words(text: np.ndarray, dtype: type) -> np.ndarray:
    return np.ascontiguousarray(text).view(dtype)


def _add_word64(hashes: np.ndarray, words: np.ndarray) -> np.ndarray:
    return _rotated(hashes ^ (_rotated(words * P2, 31) * P1), 27) * P1 + P4


def _add_word32(hashes: np.ndarray, words: np.ndarray) -> np.ndarray:
    return _rotated(hashes ^ (words * P1), 23) * P2 + P3


def _rotated(values: np.ndarray, bits: int) -> np.ndarray:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _mixed(hashes: np.ndarray) -> np.ndarray:
    hashes = (hashes ^ (hashes >> np.uint64(33))) * P2
    hashes = (hashes ^ (hashes >> np.uint64(29))) * P3
    return hashes ^ (hashes >> np.uint64(32))
