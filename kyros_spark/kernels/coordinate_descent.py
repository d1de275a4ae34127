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

    Stops when no coordinate moves by more than `tolerance` of its own standard error.

    gram       float64[p, p]: G
    gradient   float64[p]: g, the score at b
    start      float64[p]: b, the coefficients before the step
    l1, l2     float64[p]: the penalty's weight on |b| and on b^2 / 2, by coefficient
    tolerance  in standard errors; `sweeps` bounds the passes over all coordinates
    step       float64[p], output: d
    slope      float64[p], scratch: g - Gd

    Returns the number of sweeps taken, or -1 if `sweeps` were not enough.
    """
    size = gradient.size
    for j in range(size):
        step[j] = 0.0
        slope[j] = gradient[j]
    for sweep in range(sweeps):
        longest = 0.0
        for j in range(size):
            curvature = gram[j, j] + l2[j]
            current = start[j] + step[j]
            partial = slope[j] + gram[j, j] * current
            if partial > l1[j]:
                updated = (partial - l1[j]) / curvature
            elif partial < -l1[j]:
                updated = (partial + l1[j]) / curvature
            else:
                updated = 0.0
            move = updated - current
            if move != 0.0:
                step[j] += move
                for i in range(size):
                    slope[i] -= gram[j, i] * move
                longest = max(longest, move * move * curvature)
        if longest <= tolerance * tolerance:
            return sweep + 1
    return -1
