"""Fit many small GLMs in one call: Fisher scoring over rows that are sorted by segment.

The columns of the design have an order of their own here, q of them: first the dense ones (the
constant, then the numbers, then zeros up to a multiple of 4; the constant alone if there are no numbers),
then one per level. n is the number of cells (see cell_terms.py), S that of segments. The steps, their
halving and their end are those of fitting/irls.py.
"""

import math

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
from kyros_spark.kernels.small_solve import (
    factorised,
    independent_columns,
    solved,
    standard_deviations,
)

CONVERGED, NOT_CONVERGED, SINGULAR, NO_DESCENT, NO_MEAN = 1, 2, 3, 4, 5  # what became of a fit
ROUNDING = 1e-12  # near the solution only the cost's last digits change


def fit_segments(
    places: np.ndarray,
    dense: np.ndarray,
    cells: np.ndarray,
    offset: np.ndarray,
    begins: np.ndarray,
    candidates: np.ndarray,
    held: np.ndarray,
    numbers: np.ndarray,
    law: np.ndarray,
    stop: np.ndarray,
    ridge: np.ndarray,
    ridge_scale: np.ndarray,
    target: np.ndarray,
    to_constant: np.ndarray,
    totals: np.ndarray,
    status: np.ndarray,
    coefficients: np.ndarray,
    errors: np.ndarray,
    active: np.ndarray,
) -> None:
    """Fit each segment whose status is 0, from its coefficients; columns not active keep theirs.

    places       int32[n, factors]: for each factor, the column that is 1
    dense        float64[n, width]: the dense columns
    cells        float64[n, 3]; offset: float64[n], of a negative binomial only
    begins       int64[S + 1]: where each segment's cells begin
    candidates   int64[c]: the columns to solve for, in the order in which later ones are dropped
    held         uint8[S, q]: 1 for a column that a segment does not solve for
    numbers      float64[S, 2]: rows, and half the deviance's constant
    law          float64[4]: kind, power, alpha, whether a dispersion is estimated
    stop         float64[3]: most iterations, tolerance, most halvings
    ridge        float64[q]: the cost of b^2 / 2, times the segment's ridge_scale, float64[S]
    target       float64[S, q]: where the ridge is 0
    to_constant  float64[q]: the row that turns scaled coefficients into the unscaled constant
    totals       float64[S, 4], output: deviance, Pearson's chi-square, iterations, last step
    status       int64[S]: 0 to fit; output: see above
    coefficients float64[S, q], updated in place
    errors       float64[S, q], output: standard errors for a dispersion of 1, the constant's of the
                 unscaled design; only of active columns and without a ridge
    active       uint8[S, q], output
    """
    columns = coefficients.shape[1]
    gram, factor = np.empty((columns, columns)), np.empty((columns, columns))
    gradient, scale, values = np.empty(columns), np.empty(columns), np.empty(columns)
    step, candidate, l2 = np.zeros(columns), np.empty(columns), np.empty(columns)
    eta, information, score = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    work = (eta, information, score, np.empty((BLOCK, dense.shape[1])))
    data = (places, dense, cells, offset, law)
    chosen, open_columns = np.empty(columns, np.int64), np.empty(columns, np.int64)
    sums = np.zeros(3)
    for s in range(status.size):
        if status[s] != 0:
            continue
        rows = (begins[s], begins[s + 1])
        is_free = True
        for j in range(columns):
            l2[j] = ridge[j] * ridge_scale[s]
            is_free &= l2[j] == 0.0
        count = 0
        for c in range(candidates.size):
            if not held[s, candidates[c]]:
                open_columns[count] = candidates[c]
                count += 1
        if not equations_at(data, rows, coefficients[s], work, gram, gradient, sums):
            status[s] = NO_MEAN
            continue
        tolerance = 1e-9 if is_free else -1.0
        size = independent_columns(gram, open_columns, count, tolerance, factor, chosen)
        step[:] = 0.0
        status[s] = NOT_CONVERGED
        for iteration in range(1, int(stop[0]) + 1):
            if not factorised(gram, chosen, size, l2, factor, scale):
                status[s] = SINGULAR
                break
            for i in range(size):
                j = chosen[i]
                away = coefficients[s, j] - target[s, j]
                values[i] = (gradient[j] - l2[j] * away) * scale[i]
            solved(factor, size, values)
            for i in range(size):
                step[chosen[i]] = values[i] * scale[i]
            dispersion = sums[1] / max(numbers[s, 0] - size, 1.0) if law[3] else 1.0
            length = _length(gram, chosen, size, step, dispersion)
            cost = sums[0] + _penalty(coefficients[s], target[s], l2, chosen, size)
            slack = ROUNDING * (abs(sums[0] + numbers[s, 1]) + sums[2] + abs(numbers[s, 1]) + 1.0)
            shorter = 1.0
            is_lower = False
            for _halving in range(int(stop[2])):
                for j in range(columns):
                    candidate[j] = coefficients[s, j] + step[j] * shorter
                if equations_at(data, rows, candidate, work, gram, gradient, sums):
                    after = sums[0] + _penalty(candidate, target[s], l2, chosen, size)
                    is_lower = after <= cost + slack
                if is_lower:
                    break
                shorter *= 0.5
            if not is_lower:
                status[s] = NO_DESCENT
                break
            for j in range(columns):
                coefficients[s, j] = candidate[j]
            totals[s, 2], totals[s, 3] = iteration, length
            if length <= stop[1]:
                status[s] = CONVERGED
                break
        totals[s, 0] = max(2.0 * (sums[0] + numbers[s, 1]), 0.0)
        totals[s, 1] = max(sums[1], 0.0)
        for i in range(size):
            active[s, chosen[i]] = 1
            errors[s, chosen[i]] = np.nan
        if status[s] == CONVERGED and is_free:
            l2[:] = 0.0
            if factorised(gram, chosen, size, l2, factor, scale):
                for i in range(size):
                    values[i] = to_constant[chosen[i]]
                constant = standard_deviations(factor, size, scale, values, step)
                for i in range(size):
                    errors[s, chosen[i]] = step[i]
                if active[s, 0]:
                    errors[s, 0] = constant


@register_jitable
def _length(
    gram: np.ndarray, chosen: np.ndarray, size: int, step: np.ndarray, dispersion: float
) -> float:
    """Return how far a step moves the linear predictors, in standard errors."""
    square = 0.0
    for i in range(size):
        a = chosen[i]
        square += step[a] * step[a] * gram[a, a]
        for k in range(i):
            b = chosen[k]
            square += 2.0 * step[a] * step[b] * gram[min(a, b), max(a, b)]
    return math.sqrt(max(square, 0.0) / dispersion) if dispersion > 0.0 else 0.0


@register_jitable
def _penalty(
    coefficients: np.ndarray, target: np.ndarray, l2: np.ndarray, chosen: np.ndarray, size: int
) -> float:
    total = 0.0
    for i in range(size):
        away = coefficients[chosen[i]] - target[chosen[i]]
        total += 0.5 * l2[chosen[i]] * away * away
    return total


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
