"""Replace categories by bytes of answers: each bit tells whether one set sends the row right.

The answers of all sets of a feature are looked up by the row's category, eight sets a byte.
"""

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS

TRUNCATE, FLOOR, ONLY_WHOLE = 0, 1, 2
NO_CATEGORY, MISSING = -1, -2
LIMIT = 16_777_216.0  # categories lie below; beyond it a float64 need not fit an integer


def find_categories(
    values: np.ndarray, precision: np.ndarray, rule: int, categories: np.ndarray
) -> None:
    """Write each value's category, NO_CATEGORY or MISSING.

    values      float32 or float64[rows], rounded to the type of `precision` first
    rule        TRUNCATE: -0.5 is category 0; FLOOR: it is none, 0.5 is 0; ONLY_WHOLE: none both
    categories  int32[rows]
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

    table  uint8[n + 2]: the byte of each category, of what is none of them, of a missing value
    codes  uint8[blocks, columns, BLOCK_ROWS]
    """
    known = table.size - 2
    for row in range(categories.size):
        category = categories[row]
        if category == MISSING:
            category = known + 1
        elif category < 0 or category > known:
            category = known
        codes[row // BLOCK_ROWS, column, row % BLOCK_ROWS] = table[category]
