"""Compare what claims say with what a model expected: A/E, Gini, calibration, and their noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kyros_spark.monitoring import chance


@dataclass(frozen=True, eq=False)
class ModelSums:
    """Sums over the rows that judge a model, by bin of its prediction in rising order.

    rows      float64[bins]: rows
    units     float64[bins]: policy-years, or claims for a severity
    observed  float64[bins]: sum of the target
    expected  float64[bins]: sum of prediction x units
    variance  float64[bins]: estimated variance of `observed`
    """

    rows: np.ndarray
    units: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    variance: np.ndarray

    @property
    def actual_expected(self) -> float | None:
        """Return the ratio of all that was observed to all that was expected."""
        expected = float(self.expected.sum())
        return float(self.observed.sum()) / expected if expected > 0 else None

    @property
    def balance(self) -> float | None:
        """Return the inverse ratio."""
        observed = float(self.observed.sum())
        return float(self.expected.sum()) / observed if observed > 0 else None

    def relative_variance(self) -> float:
        """Return the variance of the sum of the target over its square; infinite without any."""
        observed = float(self.observed.sum())
        return float(self.variance.sum()) / observed**2 if observed > 0 else math.inf


def ratio_p_value(current: ModelSums, baseline: ModelSums | None) -> float | None:
    """Return how often chance gives such an A/E where the truth is 1; None without expectation.

    The logarithm of A/E is taken for normal, with the noise of what is observed and, where the
    claims that the model learnt from are known, with theirs: what is expected rests on them.
    """
    ratio = current.actual_expected
    if ratio is None:
        return None
    if ratio <= 0:  # no claim: as often as a Poisson number of this mean is 0
        return math.exp(-float(current.expected.sum()))
    variance = current.relative_variance()
    variance += baseline.relative_variance() if baseline is not None else 0.0
    if variance <= 0 or not math.isfinite(variance):
        return 1.0
    return chance.normal_p_value(math.log(ratio) / math.sqrt(variance))


def gini(sums: ModelSums) -> tuple[float, float] | None:
    """Return the Gini of the bins ordered by prediction, and its standard error; None without it.

    With r the middle of a bin on the axis of cumulated units, from 0 to 1, it is the mean of 2r - 1
    weighted by what was observed: 1 - 2 x area under the Lorenz curve of the bins. The error
    follows from the variance of what was observed (delta method), the predictions being given.
    """
    observed, units = float(sums.observed.sum()), float(sums.units.sum())
    if observed <= 0 or units <= 0:
        return None
    middle = (np.cumsum(sums.units) - sums.units / 2) / units
    position = 2 * middle - 1
    value = float(np.sum(sums.observed * position)) / observed
    variance = float(np.sum((position - value) ** 2 * sums.variance)) / observed**2
    return value, math.sqrt(variance)


def gini_change(current: ModelSums, baseline: ModelSums) -> tuple[float, float] | None:
    """Return the Gini less that of the baseline, and how often chance gives such a change."""
    now, before = gini(current), gini(baseline)
    if now is None or before is None:
        return None
    change, error = now[0] - before[0], math.hypot(now[1], before[1])
    return change, chance.normal_p_value(change / error) if error > 0 else 1.0


def calibration(sums: ModelSums) -> tuple[float, float] | None:
    """Return the share of what was observed that lies in the wrong bin, and its p-value.

    What is expected is first scaled to what was observed, so that the overall level, which A/E
    tells, is left out. The p-value is that of Hosmer and Lemeshow's test with bins - 1 degrees.
    """
    ratio = sums.actual_expected
    used = sums.expected > 0
    if not ratio or np.count_nonzero(used) < 2:
        return None
    scaled = sums.expected[used] * ratio
    gaps = sums.observed[used] - scaled
    error = float(np.abs(gaps).sum() / scaled.sum() / 2)
    # A bin with few claims by chance has a small variance by chance: what is expected has not.
    variance = scaled * float(sums.variance[used].sum()) / float(sums.observed[used].sum())
    statistic = float(np.sum(gaps**2 / variance)) if (variance > 0).all() else 0.0
    return error, float(chance.special().chdtrc(used.sum() - 1, statistic))
