"""Order rows by their content alone, as Spark does by xxhash64 of all columns.

Source: XXH64 for values of four and eight bytes; Spark's seed of 42, chained over the columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SEED = 42
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)  # fmt: skip
_NAN = np.uint64(0x7FF8000000000000)


def content_order(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the rows' numbers, int64[n], by rising hash of all columns, and then by the columns.

    columns: float64[n] or bool[n] each, without NULL
    """
    hashes = xxhash64(columns)
    order: np.ndarray = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if all(_are_equal(column[order[again]], column[order[again + 1]]) for column in columns):
        return order  # rows of one hash are equal, and so interchangeable
    return np.lexsort((*reversed(columns), hashes))


def xxhash64(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return Spark's xxhash64 of each row, int64[n]; columns: float64[n] or bool[n] each."""
    hashes = np.full(len(columns[0]), SEED, np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            if column.dtype == np.bool_:
                hashes = _of_four_bytes(column.astype(np.uint64), hashes)
            else:
                bits = (column + 0.0).view(np.uint64)
                hashes = _of_eight_bytes(np.where(np.isnan(column), _NAN, bits), hashes)
    return hashes.view(np.int64)


def _are_equal(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.array_equal(left, right, equal_nan=left.dtype == np.float64))


def _of_eight_bytes(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    hashes = seeds + _P5 + np.uint64(8)
    hashes ^= _rotated(values * _P2, 31) * _P1
    return _mixed(_rotated(hashes, 27) * _P1 + _P4)


def _of_four_bytes(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    hashes = seeds + _P5 + np.uint64(4)
    hashes ^= values * _P1
    return _mixed(_rotated(hashes, 23) * _P2 + _P3)


def _rotated(values: np.ndarray, bits: int) -> np.ndarray:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _mixed(hashes: np.ndarray) -> np.ndarray:
    hashes ^= hashes >> np.uint64(33)
    hashes *= _P2
    hashes ^= hashes >> np.uint64(29)
    hashes *= _P3
    return hashes ^ (hashes >> np.uint64(32))
