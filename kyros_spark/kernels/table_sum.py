"""Sum the tables and slopes of a generalised linear model to its linear predictor."""

import numpy as np


def add_table(codes: np.ndarray, table: np.ndarray, sums: np.ndarray) -> None:
    """Add `table[code]` of one feature to each row's sum.

    codes  int32[rows], from 0 to levels - 1: the caller has checked them
    table  float64[levels], on the scale of the linear predictor
    sums   float64[rows], updated in place
    """
    for row in range(codes.size):
        sums[row] += table[codes[row]]


def add_slope(values: np.ndarray, slope: float, impute: float, sums: np.ndarray) -> None:
    """Add `slope * value` of one numeric feature; `impute` (which may be NaN) replaces a NaN.

    values         float32 or float64[rows]
    slope, impute  float64; the slope is per unit of the feature, impute in the feature's unit
    sums           float64[rows], updated in place, on the scale of the linear predictor
    """
    for row in range(values.size):
        value = values[row]
        if value != value:
            value = impute
        sums[row] += slope * value
