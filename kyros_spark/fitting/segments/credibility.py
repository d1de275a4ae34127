"""Shrink segments towards their parents by Buehlmann and Straub's credibility.

A segment's own value has the credibility Z = w / (w + s / a): w its volume, s the variance within
segments per unit of volume, a the variance between segments, estimated without bias from the
segments' values. For a coefficient w / s is 1 / its squared standard error. For the level of a
segment, its actual over expected total, w is the number of claims expected (more generally the
squared mean over the variance), and s the parent's Pearson chi-square per degree of freedom.
Source: Buehlmann and Straub, Glaubwuerdigkeit fuer Schadensaetze, 1970; Buehlmann and Gisler, A
Course in Credibility Theory, 2005, section 4.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BetweenSegments:
    """The variance between segments and the number of segments that it is estimated from."""

    between: float
    segments: int


def between_variance(values: np.ndarray, weights: np.ndarray) -> BetweenSegments:
    """Return the variance of segments' values beyond 1 / weight, at least 0.

    values   float64[S]
    weights  float64[S]: volume / variance within; a segment of weight 0 counts nothing
    """
    used = weights > 0
    values, weights = values[used], weights[used]
    total = weights.sum()
    if values.size < 2:
        return BetweenSegments(0.0, int(values.size))
    mean = weights @ values / total
    spread = weights @ (values - mean) ** 2 - (values.size - 1)
    scale = total - weights @ weights / total
    return BetweenSegments(float(max(spread / scale, 0.0)) if scale > 0 else 0.0, int(values.size))


def credibility(spread: BetweenSegments, weights: np.ndarray) -> np.ndarray:
    """Return Z, float64[S], from 0 to below 1."""
    z: np.ndarray = weights * spread.between / (1.0 + weights * spread.between)
    return z


def between_by_column(deviations: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each column's variance between segments, float64[q], and Z, float64[S, q].

    deviations  float64[S, q]: a segment's coefficient less its parent's
    errors      float64[S, q]: standard errors; 0 where a segment has no coefficient of its own
    """
    with np.errstate(divide="ignore"):
        weights = np.where(errors > 0, 1.0 / np.square(errors), 0.0)
    spreads = [between_variance(d, w) for d, w in zip(deviations.T, weights.T, strict=True)]
    z = np.column_stack(
        [credibility(spread, w) for spread, w in zip(spreads, weights.T, strict=True)]
    )
    return np.array([spread.between for spread in spreads]), z
