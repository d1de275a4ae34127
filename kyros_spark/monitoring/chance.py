"""Say what chance alone gives: p-values of distances, and their correction for being many.

The two sides are taken for samples of their `effective_rows`, so that rows of little exposure count
for little. SciPy, which xgboost and scikit-learn bring along, computes the distributions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from kyros_spark.errors import PlatformError
from kyros_spark.monitoring.histogram import Histogram

LEAST_EXPECTED = 5.0  # rows that chance has to give a bin for a test by chi-square (Cochran)
RARE = "(rare)"

Key = TypeVar("Key")


def special() -> Any:
    """Return SciPy's special functions.

    Raises:
        PlatformError: SciPy is not installed.
    """
    try:
        from scipy import special as functions  # stats would take a second to import
    except ImportError as error:
        raise PlatformError(
            "monitor needs SciPy for its p-values; found none: pip install scipy"
        ) from error
    return functions


def chance_of_index(current: Histogram, baseline: Histogram) -> float:
    """Return the stability index that two samples of one distribution have on average.

    (B - 1) (1/n + 1/m) for B bins that are not empty (Yurdakul and Naranjo, Journal of Risk Model
    Validation 14(4), 2020).
    """
    return _freedom(current, baseline) * _variance(current, baseline)


def index_p_value(index: float, current: Histogram, baseline: Histogram) -> float:
    """Return how often chance gives such a stability index: index / (1/n + 1/m) is chi-square."""
    freedom = _freedom(current, baseline)
    if freedom < 1:
        return 1.0
    return float(special().chdtrc(freedom, index / _variance(current, baseline)))


def chi_square(current: Histogram, baseline: Histogram) -> tuple[float, float, int]:
    """Return the statistic of the test of homogeneity, its p-value and its degrees of freedom.

    Bins that either side expects to hold fewer than LEAST_EXPECTED rows are one bin. Without two
    bins there is nothing to test: (0, 1, 0).
    """
    table = np.array([s.shares * s.effective_rows for s in pooled(current, baseline)])
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    freedom = table.shape[1] - 1
    if freedom < 1:
        return 0.0, 1.0, 0
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(special().chdtrc(freedom, statistic)), freedom


def smirnov_p_value(distance: float, current: Histogram, baseline: Histogram) -> float:
    """Return how often chance gives such a Kolmogorov-Smirnov distance, by its limit.

    Where values are tied it is larger than it might be: the test is never too eager.
    """
    n, m = current.effective_rows, baseline.effective_rows
    return float(special().kolmogorov(np.sqrt(n * m / (n + m)) * distance))


def share_p_value(share: float, rows: float, reference: float, reference_rows: float) -> float:
    """Return how often chance gives two shares so far apart, by the pooled z test of two shares."""
    pooled_share = (share * rows + reference * reference_rows) / (rows + reference_rows)
    variance = pooled_share * (1 - pooled_share) * (1 / rows + 1 / reference_rows)
    if variance <= 0:
        return 1.0
    return float(special().erfc(abs(share - reference) / np.sqrt(2 * variance)))


def normal_p_value(deviations: float) -> float:
    """Return how often chance gives a normal number so many standard deviations from its mean."""
    return float(special().erfc(abs(deviations) / np.sqrt(2)))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values corrected for their number, so that any is below a by chance with a at most.

    Source: Holm, Scandinavian Journal of Statistics 6, 1979. Tests may depend on each other.
    """
    keys = sorted(p_values, key=lambda key: p_values[key])
    corrected, largest = {}, 0.0
    for rank, key in enumerate(keys):
        largest = max(largest, min(1.0, (len(keys) - rank) * p_values[key]))
        corrected[key] = largest
    return corrected


def pooled(current: Histogram, baseline: Histogram) -> tuple[Histogram, Histogram]:
    """Return both over the bins that hold LEAST_EXPECTED rows by chance; the others are one."""
    sizes = [side.effective_rows for side in (current, baseline)]
    rows = current.shares * sizes[0] + baseline.shares * sizes[1]
    is_rare = rows * min(sizes) / sum(sizes) < LEAST_EXPECTED
    if not is_rare.any():
        return current, baseline
    names = [name for name, rare in zip(current.bins, is_rare, strict=True) if not rare]
    groups = np.full(is_rare.size, len(names))
    groups[~is_rare] = np.arange(len(names))
    of_rare = rows[is_rare].sum() * min(sizes) / sum(sizes)
    if of_rare < LEAST_EXPECTED and names:  # too few even together: they join the smallest bin
        groups[is_rare] = int(np.argmin(rows[~is_rare]))
    else:
        names.append(RARE)
    return current.joined(groups, names), baseline.joined(groups, names)


def _freedom(current: Histogram, baseline: Histogram) -> int:
    used = (current.weight > 0) | (baseline.weight > 0)
    return int(np.count_nonzero(used)) - 1


def _variance(current: Histogram, baseline: Histogram) -> float:
    return 1 / current.effective_rows + 1 / baseline.effective_rows
