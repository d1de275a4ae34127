"""Independent NumPy twins of what evaluate sums in Spark: written from docs/evaluate.md, row by row."""

import numpy as np


def tie_groups(value, *columns):
    """Sum columns over equal values, in rising order of the value."""
    distinct, place = np.unique(value, return_inverse=True)
    return [distinct, *(np.bincount(place, weights=column) for column in columns)]


def gini(value, units, observed):
    """1 - 2 x the area under the polygon through the tie groups' cumulated shares."""
    _, units, observed = tie_groups(value, units, observed)
    x = np.concatenate([[0], np.cumsum(units) / units.sum()])
    y = np.concatenate([[0], np.cumsum(observed) / observed.sum()])
    return 1 - 2 * np.trapezoid(y, x)


def quantile_of(value, units, count):
    """The quantile, from 1, that holds the middle of each row's tie group."""
    distinct, sums = tie_groups(value, units)
    middle = (np.cumsum(sums) - sums / 2) / sums.sum()
    number = np.minimum(np.floor(middle * count + 1e-9).astype(int), count - 1) + 1
    return number[np.searchsorted(distinct, value)]


def by(group, *columns):
    """Sum columns by group: {group: (sum, ...)}."""
    return {g: tuple(float(c[group == g].sum()) for c in columns) for g in np.unique(group)}


def psi(value, units, reference, reference_units, count):
    """Population stability index over the reference's groups of equal exposure."""
    quantile = quantile_of(reference, reference_units, count)
    ends = [reference[quantile == q].max() for q in np.unique(quantile)]
    told = np.searchsorted(ends[:-1], value, side="left")
    base = np.searchsorted(ends[:-1], reference, side="left")
    p = np.bincount(told, units, len(ends)) / units.sum()
    q = np.bincount(base, reference_units, len(ends)) / reference_units.sum()
    p, q = np.maximum(p, 1e-6), np.maximum(q, 1e-6)
    return float(((p - q) * np.log(p / q)).sum())
