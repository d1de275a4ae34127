"""Call the kernels of small fits, each with the one list of argument types it is compiled for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from kyros_spark.fitting.segments.columns import SegmentColumns, SegmentRows
from kyros_spark.kernels import cell_terms, segment_sums, small_equations, small_fits
from kyros_spark.kernels.compile import compiled, writable


def cells_of(rows: SegmentRows, law: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of rows, float64[n, 3], and half the deviance's constant, float64[S]."""
    cells, constant = np.empty((rows.label.size, 3)), np.empty(rows.label.size)
    _compiled(cell_terms.write_cells)(
        rows.label, rows.weight, rows.offset, int(law[0]), law[1], law[2], cells, constant
    )
    sums, is_filled = np.zeros(rows.count), rows.begins[:-1] < rows.begins[1:]
    if is_filled.any():
        sums[is_filled] = np.add.reduceat(constant, rows.begins[:-1][is_filled])
    return cells, sums


def joined(
    rows: SegmentRows, cells: np.ndarray, columns: SegmentColumns
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return places, dense columns, cells and begins of equal rows joined, where that is quick."""
    if columns.strides is None:
        return rows.places, rows.dense, cells, rows.begins
    places, begins = rows.places.copy(), np.empty_like(rows.begins)
    table = np.full(columns.most_cells, -1)
    collapse = _compiled(segment_sums.collapse)
    count = collapse(places, cells, rows.begins, columns.strides, table, begins)
    return places[:count], rows.dense[:count], cells[:count], begins


def sums_of_segments(rows: SegmentRows, size: int) -> tuple[np.ndarray, ...]:
    """Return rows, exposure, observed, float64[S, q] each, and ends, float64[S, 6, width]."""
    sums = tuple(np.zeros((rows.count, size)) for _ in range(3))
    ends = np.empty((rows.count, 6, rows.dense.shape[1]))
    _compiled(segment_sums.segment_sums)(*vars(rows).values(), *sums, ends)
    return (*sums, ends)


def means_of(rows: SegmentRows, coefficients: np.ndarray, law: np.ndarray) -> np.ndarray:
    """Return the sums of means, slopes and variances at coefficients: float64[S, 3]."""
    sums = np.zeros((rows.count, 3))
    _compiled(segment_sums.segment_means)(
        rows.places, rows.dense, rows.weight, rows.offset, rows.begins, coefficients, law, sums
    )
    return sums


def sums_at(
    rows: SegmentRows,
    cells: np.ndarray,
    span: tuple[int, int],
    law: np.ndarray,
    coefficients: np.ndarray,
) -> tuple[bool, np.ndarray, np.ndarray, np.ndarray]:
    """Return of a span of cells whether all means are sound, X'WX, X'score and three sums.

    coefficients: float64[q]; see kernels/small_equations.py
    """
    size = coefficients.size
    gram, gradient, sums = np.zeros((size, size)), np.zeros(size), np.zeros(3)
    is_sound = _compiled(small_equations.pooled_equations)(
        rows.places, rows.dense, cells, rows.offset, np.array(span), law, coefficients,
        gram, gradient, sums,
    )  # fmt: skip
    return bool(is_sound), gram, gradient, sums


def fit_segments(*arguments: np.ndarray) -> None:
    """Fit segments: see kernels/small_fits.py."""
    kernel = small_fits.fit_segments
    # A whole fit in one function: 16 s of one core to compile, where others take 1.
    compiled(kernel, *_signatures()[kernel], patience=5)(*arguments)


@functools.cache
def _signatures() -> dict[Callable[..., Any], Sequence[Any]]:
    vector, matrix, cube = writable("f8"), writable("f8", 2), writable("f8", 3)
    places, indices, flags = writable("i4", 2), writable("i8"), writable("u1", 2)
    real, whole = types.float64, types.int64
    return {
        cell_terms.write_cells: (vector, vector, vector, whole, real, real, matrix, vector),
        segment_sums.segment_sums: (
            places, matrix, vector, vector, vector, indices, matrix, matrix, matrix, cube,
        ),
        segment_sums.segment_means: (
            places, matrix, vector, vector, indices, matrix, vector, matrix,
        ),
        segment_sums.collapse: (places, matrix, indices, indices, indices, indices),
        small_equations.pooled_equations: (
            places, matrix, matrix, vector, indices, vector, vector, matrix, vector, vector,
        ),
        small_fits.fit_segments: (
            places, matrix, matrix, vector, indices, indices, flags, matrix, vector, vector,
            vector, vector, matrix, vector, matrix, indices, matrix, matrix, flags,
        ),
    }  # fmt: skip


def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return compiled(kernel, *_signatures()[kernel])
