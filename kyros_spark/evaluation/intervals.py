"""Compute a confidence interval for actual over expected, taking the expected as given.

Counts: exact Poisson (Garwood, Biometrika 28, 1936), from quantiles of chi-square. Amounts: normal,
never below zero; a sum of squares estimates the variance of the sum (see evaluation/rows.spread).
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
