"""Sum up the rows of segments: by column, by their ends, and what coefficients expect of them.

Rows are sorted by segment, S segments of n rows. The columns are those of small_fits.py, q of them.
"""

import math

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.cell_terms import IDENTITY, LOGIT, NEGATIVE_BINOMIAL


def segment_sums(
    places: np.ndarray,
    dense: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    offset: np.ndarray,
    begins: np.ndarray,
    rows: np.ndarray,
    exposure: np.ndarray,
    observed: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Write the totals of each column's rows; a dense column has those of all rows.

    label, weight, offset  float64[n]
    begins                 int64[S + 1]
    rows, exposure, observed  float64[S, q], output: count, weight exp(offset), weight label
    ends   float64[S, 6, width], output: of each dense column the least value and the largest,
           negated, of all rows, of those with a label above 0, and of those with one below 1
    """
    width = dense.shape[1]
    ends[:] = np.inf
    for s in range(begins.size - 1):
        for r in range(begins[s], begins[s + 1]):
            units, total = weight[r] * math.exp(offset[r]), weight[r] * label[r]
            for j in range(width):
                value = dense[r, j]
                ends[s, 0, j] = min(ends[s, 0, j], value)
                ends[s, 1, j] = min(ends[s, 1, j], -value)
            if label[r] > 0.0:
                for j in range(width):
                    ends[s, 2, j] = min(ends[s, 2, j], dense[r, j])
                    ends[s, 3, j] = min(ends[s, 3, j], -dense[r, j])
            if label[r] < 1.0:
                for j in range(width):
                    ends[s, 4, j] = min(ends[s, 4, j], dense[r, j])
                    ends[s, 5, j] = min(ends[s, 5, j], -dense[r, j])
            rows[s, 0] += 1.0
            exposure[s, 0] += units
            observed[s, 0] += total
            for f in range(places.shape[1]):
                a = places[r, f]
                rows[s, a] += 1.0
                exposure[s, a] += units
                observed[s, a] += total
        for j in range(1, width):
            rows[s, j], exposure[s, j], observed[s, j] = rows[s, 0], exposure[s, 0], observed[s, 0]


def segment_means(
    places: np.ndarray,
    dense: np.ndarray,
    weight: np.ndarray,
    offset: np.ndarray,
    begins: np.ndarray,
    coefficients: np.ndarray,
    law: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Write what each segment's coefficients expect of its rows.

    coefficients  float64[S, q]; law: float64[4], see small_fits.py
    sums          float64[S, 3], output: weight times mean, times dmean/deta, and times variance
    """
    kind, power, alpha = int(law[0]), law[1], law[2]
    for s in range(begins.size - 1):
        for r in range(begins[s], begins[s + 1]):
            eta = offset[r]
            for j in range(dense.shape[1]):
                eta += coefficients[s, j] * dense[r, j]
            for f in range(places.shape[1]):
                eta += coefficients[s, places[r, f]]
            mean, slope, variance = _mean(eta, kind, power, alpha)
            sums[s, 0] += weight[r] * mean
            sums[s, 1] += weight[r] * slope
            sums[s, 2] += weight[r] * variance


@register_jitable
def _mean(eta: float, kind: int, power: float, alpha: float) -> tuple[float, float, float]:
    if kind == LOGIT:
        mean = 1.0 / (1.0 + math.exp(-eta))
        return mean, mean * (1.0 - mean), mean * (1.0 - mean)
    mean = eta if kind == IDENTITY else math.exp(eta)
    slope = 1.0 if kind == IDENTITY else mean
    if kind == NEGATIVE_BINOMIAL:
        return mean, slope, mean + alpha * mean * mean
    return mean, slope, mean if power == 1.0 else math.pow(max(mean, 0.0), power)


def collapse(
    places: np.ndarray,
    cells: np.ndarray,
    begins: np.ndarray,
    strides: np.ndarray,
    table: np.ndarray,
    new_begins: np.ndarray,
) -> int:
    """Join equal rows of a segment into one cell, in place; return the number of cells.

    places      int32[n, factors], updated: the first cells of it
    cells       float64[n, 3], updated likewise
    strides     int64[factors]: a row's number is the sum of its columns times these
    table       int64[largest number + 1], below zero everywhere, and again afterwards
    new_begins  int64[S + 1], output
    """
    count = 0
    for s in range(begins.size - 1):
        first = count
        new_begins[s] = first
        for r in range(begins[s], begins[s + 1]):
            key = 0
            for f in range(places.shape[1]):
                key += places[r, f] * strides[f]
            cell = table[key]
            if cell < first:
                cell = count
                table[key] = count
                for f in range(places.shape[1]):
                    places[cell, f] = places[r, f]
                for c in range(3):
                    cells[cell, c] = cells[r, c]
                count += 1
            else:
                for c in range(3):
                    cells[cell, c] += cells[r, c]
    new_begins[begins.size - 1] = count
    table[:] = -1
    return count
