"""Fit many small GLMs in one call: Fisher scoring over rows that are sorted by segment.

The columns of the design have an order of their own here, q of them: first the dense ones (the
constant, then the numbers, then zeros up to a multiple of 4; the constant alone if there are no
numbers), then one per level. n is the number of cells (see cell_terms.py), S that of segments. The
steps, their halving and their end are those of fitting/irls.py.

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

import math

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.cell_terms import BLOCK
from kyros_spark.kernels.small_equations import equations_at
from kyros_spark.kernels.small_solve import (
    factorised,
    independent_columns,
    solved,
    standard_deviations,
)

CONVERGED, NOT_CONVERGED, SINGULAR, NO_DESCENT, NO_MEAN = 1, 2, 3, 4, 5  # what became of a fit
TOLERANCE = 1e-9  # as in fitting/aliased.py
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
    """Fit each segment whose status is 0, from its coefficients; columns not active keep theirs."""
    columns = coefficients.shape[1]
    data = (places, dense, cells, offset, law)
    block = (np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK))
    work = (*block, np.empty((BLOCK, dense.shape[1])))
    system = (np.empty((columns, columns)), np.empty((columns, columns)))
    vectors = (np.empty(columns), np.empty(columns), np.empty(columns), np.zeros(columns))
    candidate, l2, sums = np.empty(columns), np.empty(columns), np.zeros(3)
    chosen, open_columns = np.empty(columns, np.int64), np.empty(columns, np.int64)
    for s in range(status.size):
        if status[s] != 0:
            continue
        rows = (begins[s], begins[s + 1])
        is_free, count = True, 0
        for j in range(columns):
            l2[j] = ridge[j] * ridge_scale[s]
            is_free &= l2[j] == 0.0
        for c in range(candidates.size):
            if not held[s, candidates[c]]:
                open_columns[count] = candidates[c]
                count += 1
        if not equations_at(data, rows, coefficients[s], work, system[0], vectors[0], sums):
            status[s] = NO_MEAN
            continue
        tolerance = TOLERANCE if is_free else -1.0
        size = independent_columns(system[0], open_columns, count, tolerance, system[1], chosen)
        penalty = (l2, target[s])
        status[s] = _solve(
            data, rows, work, system, vectors, (chosen, size), penalty, numbers[s], stop,
            candidate, sums, coefficients[s], totals[s],
        )  # fmt: skip
        totals[s, 0] = max(2.0 * (sums[0] + numbers[s, 1]), 0.0)
        totals[s, 1] = max(sums[1], 0.0)
        for i in range(size):
            active[s, chosen[i]] = 1
            errors[s, chosen[i]] = np.nan
        if status[s] == CONVERGED and is_free:
            _write_errors(system, vectors, (chosen, size), l2, to_constant, errors[s])


@register_jitable
def _solve(
    data: tuple,
    rows: tuple,
    work: tuple,
    system: tuple,
    vectors: tuple,
    active: tuple,
    penalty: tuple,
    numbers: np.ndarray,
    stop: np.ndarray,
    candidate: np.ndarray,
    sums: np.ndarray,
    coefficients: np.ndarray,
    totals: np.ndarray,
) -> int:
    """Take steps until one is short enough; return what became of the fit."""
    gram, factor = system
    gradient, scale, values, step = vectors
    chosen, size = active
    l2, target = penalty
    step[:] = 0.0
    for iteration in range(1, int(stop[0]) + 1):
        if not factorised(gram, chosen, size, l2, factor, scale):
            return SINGULAR
        for i in range(size):
            j = chosen[i]
            values[i] = (gradient[j] - l2[j] * (coefficients[j] - target[j])) * scale[i]
        solved(factor, size, values)
        for i in range(size):
            step[chosen[i]] = values[i] * scale[i]
        dispersion = sums[1] / max(numbers[0] - size, 1.0) if data[4][3] else 1.0
        length = _length(gram, chosen, size, step, dispersion)
        cost = sums[0] + _penalty(coefficients, target, l2, chosen, size)
        # As in fitting/irls.py, and for the size of the parts whose difference a deviance is here.
        slack = ROUNDING * (abs(sums[0] + numbers[1]) + sums[2] + abs(numbers[1]) + 1.0)
        shorter, is_lower = 1.0, False
        for _halving in range(int(stop[2])):
            for j in range(coefficients.size):
                candidate[j] = coefficients[j] + step[j] * shorter
            if equations_at(data, rows, candidate, work, gram, gradient, sums):
                after = sums[0] + _penalty(candidate, target, l2, chosen, size)
                is_lower = after <= cost + slack
            if is_lower:
                break
            shorter *= 0.5
        if not is_lower:
            return NO_DESCENT
        coefficients[:] = candidate
        totals[2], totals[3] = iteration, length
        if length <= stop[1]:
            return CONVERGED
    return NOT_CONVERGED


@register_jitable
def _write_errors(
    system: tuple,
    vectors: tuple,
    active: tuple,
    no_ridge: np.ndarray,
    to_constant: np.ndarray,
    errors: np.ndarray,
) -> None:
    """Write the standard errors at the solution, for a dispersion of 1."""
    gram, factor = system
    _, scale, values, step = vectors
    chosen, size = active
    if not factorised(gram, chosen, size, no_ridge, factor, scale):
        return
    for i in range(size):
        values[i] = to_constant[chosen[i]]
    constant = standard_deviations(factor, size, scale, values, step)
    for i in range(size):
        errors[chosen[i]] = constant if chosen[i] == 0 else step[i]


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
