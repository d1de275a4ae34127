"""Factorise and solve the small normal equations of a segment's GLM, without a library.

A library call per segment costs more than the arithmetic: these are systems of 5 to 100 columns.
Source: Golub and Van Loan, Matrix Computations, 4th edition, section 4.2.
"""

import math

import numpy as np
from numba.extending import register_jitable


@register_jitable
def independent_columns(
    gram: np.ndarray,
    candidates: np.ndarray,
    count: int,
    tolerance: float,
    factor: np.ndarray,
    active: np.ndarray,
) -> int:
    """Write the candidate columns that earlier ones do not determine; return their number.

    gram        float64[q, q], its upper half: X'WX
    candidates  int64[count], in the order in which later columns are dropped
    tolerance   share of a column's weighted square below which it counts as determined; below zero
                only columns without weight are dropped
    factor      float64[q, q], scratch
    active      int64[q], output
    """
    rank = 0
    for c in range(count):
        column = candidates[c]
        square = gram[column, column]
        if square <= 0.0:
            continue
        if tolerance >= 0.0:
            left = 1.0
            for j in range(rank):
                other = active[j]
                low, high = min(column, other), max(column, other)
                part = gram[low, high] / math.sqrt(square * gram[other, other])
                for k in range(j):
                    part -= factor[rank, k] * factor[j, k]
                part /= factor[j, j]
                factor[rank, j] = part
                left -= part * part
            if left <= tolerance:
                continue
            factor[rank, rank] = math.sqrt(left)
        active[rank] = column
        rank += 1
    return rank


@register_jitable
def factorised(
    gram: np.ndarray,
    active: np.ndarray,
    size: int,
    ridge: np.ndarray,
    factor: np.ndarray,
    scale: np.ndarray,
) -> bool:
    """Write the Cholesky factor of the scaled system of the active columns; say whether it exists.

    gram    float64[q, q], its upper half
    active  int64[size]; ridge: float64[q], added to the diagonal
    factor  float64[q, q], output: its lower triangle
    scale   float64[q], output: 1 / the root of each active column's diagonal
    """
    for i in range(size):
        square = gram[active[i], active[i]] + ridge[active[i]]
        if not square > 0.0:
            return False
        scale[i] = 1.0 / math.sqrt(square)
    for i in range(size):
        for j in range(i):
            low, high = min(active[i], active[j]), max(active[i], active[j])
            part = gram[low, high] * scale[i] * scale[j]
            for k in range(j):
                part -= factor[i, k] * factor[j, k]
            factor[i, j] = part / factor[j, j]
        left = 1.0
        for k in range(i):
            left -= factor[i, k] * factor[i, k]
        if not left > 0.0:
            return False
        factor[i, i] = math.sqrt(left)
    return True


@register_jitable
def solved(factor: np.ndarray, size: int, values: np.ndarray) -> None:
    """Solve the factorised system in place. values: float64[size], the right-hand side."""
    for i in range(size):
        part = values[i]
        for k in range(i):
            part -= factor[i, k] * values[k]
        values[i] = part / factor[i, i]
    for i in range(size - 1, -1, -1):
        part = values[i]
        for k in range(i + 1, size):
            part -= factor[k, i] * values[k]
        values[i] = part / factor[i, i]


@register_jitable
def standard_deviations(
    factor: np.ndarray, size: int, scale: np.ndarray, row: np.ndarray, deviation: np.ndarray
) -> float:
    """Write the roots of the inverse's diagonal; return that of row' inverse row.

    factor, scale  from `factorised`
    row            float64[size], overwritten
    deviation      float64[size], output
    """
    for column in range(size):  # the inverse of the triangle, column by column, in its upper half
        factor[column, column] = 1.0 / factor[column, column]
        for i in range(column + 1, size):
            part = 0.0
            for k in range(column, i):
                inverse = factor[column, column] if k == column else factor[column, k]
                part -= factor[i, k] * inverse
            factor[column, i] = part / factor[i, i]
    total = 0.0
    for column in range(size):
        square = 0.0
        for i in range(column, size):
            square += factor[column, i] * factor[column, i]
        deviation[column] = math.sqrt(square) * scale[column]
    for i in range(size):
        part = 0.0
        for k in range(i + 1):
            part += factor[k, i] * row[k] * scale[k]
        total += part * part
    return math.sqrt(total)
