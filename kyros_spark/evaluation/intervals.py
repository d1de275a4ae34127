"""Compute a confidence interval for actual over expected, taking the expected as given.

Counts: exact Poisson (Garwood, Biometrika 28, 1936), from quantiles of chi-square. Shares of
trials: exact binomial (Clopper and Pearson, Biometrika 26, 1934), from quantiles of beta. Amounts:
normal, never below zero; a sum of squares estimates the variance of the sum (see rows.spread).
"""

from __future__ import annotations

import math
from typing import Any

from kyros_spark.errors import PlatformError


class ConfidenceInterval:
    """Intervals of one confidence level."""

    def __init__(self, confidence: float) -> None:
        """Load SciPy, which xgboost and scikit-learn bring along, and keep the level's quantiles.

        Raises:
            PlatformError: SciPy is not installed.
        """
        try:
            from scipy import special  # stats takes a second to import, and more for each number
        except ImportError as error:
            raise PlatformError(
                "evaluate needs SciPy for its intervals; found none: pip install scipy"
            ) from error
        self._tail = (1 - confidence) / 2
        self._gamma_quantile: Any = special.gammaincinv  # of shape a: half of chi-square's, 2a
        self._beta_quantile: Any = special.betaincinv
        self._z = float(special.ndtri(1 - self._tail))

    def ratio(
        self, observed: float, expected: float, spread: float, is_count: bool
    ) -> tuple[float | None, float | None]:
        """Return the lower and upper end of observed / expected; None where nothing is expected.

        spread: the estimated variance of ``observed``; not used for counts.
        """
        if not expected or not math.isfinite(expected):
            return None, None
        if is_count:
            upper = self._gamma_quantile(observed + 1, 1 - self._tail)
            lower = self._gamma_quantile(observed, self._tail) if observed > 0 else 0.0
            return float(lower / expected), float(upper / expected)
        half = self._z * math.sqrt(spread)
        return max(0.0, (observed - half) / expected), (observed + half) / expected

    def share_ratio(
        self, observed: float, expected: float, units: float
    ) -> tuple[float | None, float | None]:
        """Return the ends of observed / expected, where `observed` of the `units` trials happened.

        Trials of unlike probabilities vary less than equal ones, so the interval is if anything
        too wide. None where nothing is expected.
        """
        if not expected or not math.isfinite(expected):
            return None, None
        rest = max(units - observed, 0.0)
        lower = self._beta_quantile(observed, rest + 1, self._tail) if observed > 0 else 0.0
        upper = self._beta_quantile(observed + 1, rest, 1 - self._tail) if rest > 0 else 1.0
        return float(lower * units / expected), float(upper * units / expected)
