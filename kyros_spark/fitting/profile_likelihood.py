"""Choose a distribution's own parameter where its profile likelihood is largest."""

from __future__ import annotations

from collections.abc import Callable

GOLDEN = 0.6180339887498949


def largest(of: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Return where a function with one peak is largest, by golden section.

    Source: Kiefer, Sequential minimax search for a maximum, Proceedings of the AMS 4, 1953.
    """
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    while high - low > tolerance:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = of(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = of(right)
    return (low + high) / 2
