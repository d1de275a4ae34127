"""Add up the normal equations of one segment: dense columns in tiles, levels by index arithmetic.

The shapes are those of small_fits.py.
"""

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.cell_terms import BLOCK, cell_terms
from kyros_spark.kernels.dense_products import (
    LANES,
    LOW,
    TALL,
    add_low_tile,
    add_strip,
    add_tile,
    write_row_sums,
)
from kyros_spark.kernels.row_bits import address


@register_jitable
def equations_at(
    data: tuple,
    rows: tuple,
    coefficients: np.ndarray,
    work: tuple,
    gram: np.ndarray,
    gradient: np.ndarray,
    sums: np.ndarray,
) -> bool:
    """Write X'WX (its upper half), X'score and the sums of `cell_terms` at these coefficients.

    Returns whether every mean is finite and above zero.
    """
    places, dense, cells, offset, law = data
    eta, information, score, weighted = work
    gram[:, :] = 0.0
    gradient[:] = 0.0
    sums[:] = 0.0
    kind, power, alpha = int(law[0]), law[1], law[2]
    for first in range(rows[0], rows[1], BLOCK):
        count = min(BLOCK, rows[1] - first)
        _linear_predictors(places, dense, first, count, coefficients, eta)
        if not cell_terms(
            cells, offset, first, eta, count, kind, power, alpha, information, score, sums
        ):
            return False
        _add_dense(dense, first, count, information, score, weighted, gram, gradient)
        _add_levels(places, dense, first, count, information, score, gram, gradient)
    _mirror(dense.shape[1], gram)
    return True


@register_jitable
def _linear_predictors(
    places: np.ndarray,
    dense: np.ndarray,
    first: int,
    count: int,
    coefficients: np.ndarray,
    eta: np.ndarray,
) -> None:
    width = dense.shape[1]
    if width > 1:
        rows = address(dense) + first * width * 8
        vectors = width // LANES
        write_row_sums(rows, width * 8, vectors, count, address(coefficients), address(eta))
    else:
        eta[:count] = coefficients[0]
    for k in range(count):
        total = eta[k]
        for f in range(places.shape[1]):
            total += coefficients[places[first + k, f]]
        eta[k] = total


@register_jitable
def _add_dense(
    dense: np.ndarray,
    first: int,
    count: int,
    information: np.ndarray,
    score: np.ndarray,
    weighted: np.ndarray,
    gram: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add the dense columns' products in tiles. weighted: float64[BLOCK, width], scratch."""
    width, columns = dense.shape[1], gram.shape[1]
    if width == 1:
        for k in range(count):
            gram[0, 0] += information[k]
            gradient[0] += score[k]
        return
    for k in range(count):
        for j in range(width):
            weighted[k, j] = information[k] * dense[first + k, j]
    stride = width * 8
    rows = address(dense) + first * stride
    for right in range(0, width, LANES):
        out = address(gradient) + right * 8
        add_strip(address(score), 8, rows + right * 8, stride, count, out, 0)
        left = 0
        while left < right + LANES:
            out = address(gram) + (left * columns + right) * 8
            factors = address(weighted) + left * 8
            if left + TALL <= right + LANES:
                add_tile(factors, stride, rows + right * 8, stride, count, out, columns * 8)
                left += TALL
            else:
                add_low_tile(factors, stride, rows + right * 8, stride, count, out, columns * 8)
                left += LOW


@register_jitable
def _add_levels(
    places: np.ndarray,
    dense: np.ndarray,
    first: int,
    count: int,
    information: np.ndarray,
    score: np.ndarray,
    gram: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add the levels' products by index arithmetic; those with dense columns to the lower half."""
    factors, width = places.shape[1], dense.shape[1]
    for k in range(count):
        r, w = first + k, information[k]
        for f in range(factors):
            a = places[r, f]
            gradient[a] += score[k]
            for j in range(width):
                gram[a, j] += w * dense[r, j]
            for g in range(f, factors):
                gram[a, places[r, g]] += w


@register_jitable
def _mirror(width: int, gram: np.ndarray) -> None:
    """Copy the levels' products with dense columns to the upper half."""
    for a in range(width, gram.shape[0]):
        for j in range(width):
            gram[j, a] = gram[a, j]


def pooled_equations(
    places: np.ndarray,
    dense: np.ndarray,
    cells: np.ndarray,
    offset: np.ndarray,
    span: np.ndarray,
    law: np.ndarray,
    coefficients: np.ndarray,
    gram: np.ndarray,
    gradient: np.ndarray,
    sums: np.ndarray,
) -> bool:
    """Write what `equations_at` does, for cells of all segments together.

    span          int64[2]: the first cell, and the one behind the last
    coefficients  float64[q]; gram: float64[q, q]; gradient: float64[q]; sums: float64[3]
    """
    work = (np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty((BLOCK, dense.shape[1])))
    data, rows = (places, dense, cells, offset, law), (span[0], span[1])
    return equations_at(data, rows, coefficients, work, gram, gradient, sums)
