"""Sum the tables and slopes of a generalised linear model: its linear predictor."""

import numpy as np


def add_table(codes: np.ndarray, table: np.ndarray, sums: np.ndarray) -> None:
    """Add `table[code]` of one feature to each row's sum; codes are checked before."""
    for row in range(codes.size):
        sums[row] += table[codes[row]]


def add_slope(values: np.ndarray, slope: float, impute: float, sums: np.ndarray) -> None:
    """Add `slope * value` of one numeric feature; a NaN counts as `impute`, which may be NaN."""
    for row in range(values.size):
        value = values[row]
        if value != value:
            value = impute
        sums[row] += slope * value
