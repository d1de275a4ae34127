"""Replace categories by bytes of answers: each bit says whether one set sends the row right.

The answers of all sets of a feature are looked up by the row's category, eight sets per byte.
"""

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS

TRUNCATE, FLOOR, ONLY_WHOLE = 0, 1, 2
NO_CATEGORY, MISSING = -1, -2
LIMIT = 16_777_216.0  # categories lie below it; larger float64 values may not fit an integer


def find_categories(
    values: np.ndarray, precision: np.ndarray, rule: int, categories: np.ndarray
) -> None:
    """Write each value's category, NO_CATEGORY or MISSING.

    values      float32 or float64[rows], first rounded to the type of `precision`
    precision   float32 or float64 array, of which only the type is read
    rule        TRUNCATE: -0.5 and 0.5 are category 0; FLOOR: 0.5 is category 0, -0.5 is none;
                ONLY_WHOLE: neither is a category
    categories  int32[rows], output
    """
    kind = precision.dtype.type
    for row in range(values.size):
        value = np.float64(kind(values[row]))
        category = NO_CATEGORY
        if value != value:
            category = MISSING
        elif -1.0 < value < LIMIT and (value >= 0.0 or rule == TRUNCATE):
            category = int(value)
            if rule == ONLY_WHOLE and np.float64(category) != value:
                category = NO_CATEGORY
        categories[row] = category


def quantise_sets(
    categories: np.ndarray, table: np.ndarray, codes: np.ndarray, column: int
) -> None:
    """Write one column's codes.

    categories  int32[rows] from find_categories
    table       uint8[n + 2]: the byte of each of n categories, then the byte of any other value,
                then the byte of a missing value
    codes       uint8[blocks, columns, BLOCK_ROWS], output: only `column` is written
    """
    n_categories = table.size - 2
    for row in range(categories.size):
        category = categories[row]
        if category == MISSING:
            category = n_categories + 1
        elif category < 0 or category > n_categories:
            category = n_categories
        codes[row // BLOCK_ROWS, column, row % BLOCK_ROWS] = table[category]
