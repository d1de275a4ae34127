"""Minimise a quadratic with an elastic-net penalty, coordinate by coordinate.

Source: Friedman, Hastie and Tibshirani, Regularization Paths for Generalized Linear Models via
Coordinate Descent, Journal of Statistical Software 33(1), 2010.
"""

import numpy as np


def coordinate_descent(
    gram: np.ndarray,
    gradient: np.ndarray,
    start: np.ndarray,
    l1: np.ndarray,
    l2: np.ndarray,
    tolerance: float,
    sweeps: int,
    step: np.ndarray,
    slope: np.ndarray,
) -> int:
    """Find the step d that minimises d'Gd/2 - g'd + sum of l1 |b + d| + l2 (b + d)^2 / 2.

    slope is room for g - Gd. Returns the sweeps it took, or -1 where `sweeps` did not suffice:
    until no coordinate moves by more than `tolerance` of its own standard error.
    """
    size = gradient.size
    for j in range(size):
        step[j] = 0.0
        slope[j] = gradient[j]
    for sweep in range(sweeps):
        furthest = 0.0
        for j in range(size):
            curve = gram[j, j] + l2[j]
            here = start[j] + step[j]
            pull = slope[j] + gram[j, j] * here
            if pull > l1[j]:
                there = (pull - l1[j]) / curve
            elif pull < -l1[j]:
                there = (pull + l1[j]) / curve
            else:
                there = 0.0
            move = there - here
            if move != 0.0:
                step[j] += move
                for i in range(size):
                    slope[i] -= gram[j, i] * move
                furthest = max(furthest, move * move * curve)
        if furthest <= tolerance * tolerance:
            return sweep + 1
    return -1
