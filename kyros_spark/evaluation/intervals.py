"""Put an interval around actual over expected, given what is expected.

Counts: exact Poisson (Garwood, Biometrika 28, 1936), by quantiles of chi-square. Amounts: normal,
the variance of the sum estimated by a sum of squares (see evaluation/rows.spread), not below zero.
"""

from __future__ import annotations

import math
from typing import Any

from kyros_spark.errors import PlatformError


class ConfidenceInterval:
    """Intervals of one confidence level."""

    def __init__(self, confidence: float) -> None:
        """Take the level, and find SciPy, which xgboost and scikit-learn bring along.

        Raises:
            PlatformError: there is no SciPy.
        """
        try:
            from scipy import stats
        except ImportError as error:
            raise PlatformError(
                "evaluate needs SciPy for its intervals; found none: pip install scipy"
            ) from error
        self._tail = (1 - confidence) / 2
        self._chi2: Any = stats.chi2
        self._z = float(stats.norm.ppf(1 - self._tail))

    def ratio(
        self, observed: float, expected: float, spread: float, is_count: bool
    ) -> tuple[float | None, float | None]:
        """Return lower and upper end of observed / expected; None where nothing is expected."""
        if not expected or not math.isfinite(expected):
            return None, None
        if is_count:
            upper = self._chi2.ppf(1 - self._tail, 2 * observed + 2) / 2
            lower = self._chi2.ppf(self._tail, 2 * observed) / 2 if observed > 0 else 0.0
            return float(lower / expected), float(upper / expected)
        half = self._z * math.sqrt(spread)
        return max(0.0, (observed - half) / expected), (observed + half) / expected
