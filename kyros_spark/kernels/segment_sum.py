"""Sum the tables and slopes of a generalised linear model whose segments have their own."""

import numpy as np


def add_segment_table(
    codes: np.ndarray, first: np.ndarray, start: int, coefficients: np.ndarray, sums: np.ndarray
) -> None:
    """Add one feature's coefficient of each row's level and segment.

    codes         int32[rows], from 0 to levels - 1: the caller has checked them
    first         int64[rows]: where the coefficients of each row's segment begin
    start         where the feature's table begins among a segment's coefficients
    coefficients  float64[segments * terms], on the scale of the linear predictor
    sums          float64[rows], updated in place
    """
    for row in range(codes.size):
        sums[row] += coefficients[first[row] + start + codes[row]]


def add_segment_slope(
    values: np.ndarray,
    first: np.ndarray,
    start: int,
    coefficients: np.ndarray,
    impute: float,
    sums: np.ndarray,
) -> None:
    """Add `slope * value` with the slope of each row's segment; `impute` replaces a NaN.

    values  float32 or float64[rows], in the feature's unit
    first, start, coefficients, sums: as above
    """
    for row in range(values.size):
        value = values[row]
        if value != value:
            value = impute
        sums[row] += coefficients[first[row] + start] * value
