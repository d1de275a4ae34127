"""Measure how far two distributions lie apart.

Each function takes two histograms over the same bins, with exposure in both. Shares are of
exposure, and the measure is symmetric but for its sign.
"""

from __future__ import annotations

import numpy as np

from kyros_spark.monitoring.histogram import Histogram

LEAST_ROWS = 0.5  # what an empty bin counts as, in rows


def stability_index(current: Histogram, baseline: Histogram) -> float:
    """Return the population stability index: the sum over bins of (p - q) ln(p / q).

    A share below that of half a row (0.5 / effective rows of its side) counts as that: a bin that
    one side lacks weighs as much as one row that might have fallen into it or not. A fixed floor
    such as 1e-6 would give an empty bin more weight the more rows there are. Bins that hold hardly
    a row by chance are to be pooled first (`chance.pooled`).
    """
    p, q = (np.maximum(s.shares, LEAST_ROWS / s.effective_rows) for s in (current, baseline))
    used = (current.weight > 0) | (baseline.weight > 0)
    return float(np.sum((p - q)[used] * np.log(p[used] / q[used])))


def jensen_shannon(current: Histogram, baseline: Histogram) -> float:
    """Return the Jensen-Shannon distance with logarithms to base 2, from 0 to 1."""
    p, q = current.shares, baseline.shares
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def total_variation(current: Histogram, baseline: Histogram) -> float:
    """Return half of the summed differences of the shares: the share of exposure that moved."""
    return float(np.abs(current.shares - baseline.shares).sum() / 2)


def largest_difference(current: Histogram, baseline: Histogram) -> float:
    """Return the largest difference of a bin's share (L infinity)."""
    return float(np.abs(current.shares - baseline.shares).max())


def kolmogorov_smirnov(current: Histogram, baseline: Histogram) -> float:
    """Return the largest difference of the distribution functions at the ends of the bins.

    bins: ranges of a number, in rising order. Within a bin the functions are not known, so that it
    is at most the distance of the rows themselves.
    """
    return float(np.abs(np.cumsum(current.shares - baseline.shares)).max())


def wasserstein(current: Histogram, baseline: Histogram) -> float:
    """Return the first Wasserstein distance, in the unit of the number.

    Each side's rows of a bin stand at their own mean, so that a shift within a bin shows as well.
    Where every bin holds one value, it is exact.
    """
    sides = [side.chosen(side.weight > 0) for side in (current, baseline)]
    values = np.concatenate([side.total / side.weight for side in sides])
    mass = np.concatenate([sides[0].shares, -sides[1].shares])
    order = np.argsort(values, kind="stable")
    difference = np.cumsum(mass[order])[:-1]
    return float(np.sum(np.abs(difference) * np.diff(values[order])))


def _relative_entropy(shares: np.ndarray, reference: np.ndarray) -> float:
    """Return the sum of p log2(p / q), where p ln p is 0 at 0."""
    used = shares > 0
    return float(np.sum(shares[used] * np.log2(shares[used] / reference[used])))
