"""Maximise a profile likelihood over a distribution's own parameter."""

from __future__ import annotations

from collections.abc import Callable

GOLDEN = 0.6180339887498949


def largest(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Return the argument between low and high at which a function with one peak is largest.

    tolerance: the width of the interval at which the golden-section search ends

    Source: Kiefer, Sequential minimax search for a maximum, Proceedings of the AMS 4, 1953.
    """
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    left_value, right_value = function(left), function(right)
    while high - low > tolerance:
        if left_value >= right_value:
            high, right, right_value = right, left, left_value
            left = high - GOLDEN * (high - low)
            left_value = function(left)
        else:
            low, left, left_value = left, right, right_value
            right = low + GOLDEN * (high - low)
            right_value = function(right)
    return (low + high) / 2
