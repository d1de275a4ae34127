"""Replace values by their rank among a model's own cuts: no comparison changes its answer.

A tree only asks `value < cut`. With the cuts of a feature sorted, `rank = #(cut <= value)` answers
every such question: `value < cut[j]` exactly when `rank <= j`. The stored code is `rank + 1`, so
that 0 is left for a missing value. A code is one byte, so a column ranks at most 254 cuts; a
feature with more cuts has several columns, each for a run of its cuts.

The cuts lie in a heap: entry 1 is the middle cut, entries 2 and 3 are the middles of the halves,
and so on. A search steps from e to 2e or 2e + 1; after `steps` steps, e - 2**steps is the rank.
Unused entries are NaN, which no value reaches.
"""

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS, address
from kyros_spark.kernels.search import code_8, code_64_by_4, code_64_by_6, code_64_by_8

CUTS_PER_COLUMN = 254
SEARCH_STEPS = (4, 6, 8)  # few, so that the vector search needs few forms


def quantise_column(
    values: np.ndarray, heap: np.ndarray, steps: int, codes: np.ndarray, column: int
) -> None:
    """Write the codes of one column, on any CPU.

    values  float32 or float64[rows]; rows is a multiple of 64. The kernel rounds the values to the
            cuts' precision first, as XGBoost does
    heap    float32 or float64[2**steps]: the column's cuts
    codes   uint8[blocks, columns, BLOCK_ROWS], output: only `column` is written
    """
    value_sample, cut_sample = values.dtype.type(0), heap.dtype.type(0)
    for row in range(0, values.size, 8):
        offset = (row // BLOCK_ROWS * codes.shape[1] + column) * BLOCK_ROWS + row % BLOCK_ROWS
        value = address(values) + row * values.itemsize
        code_8(value, value_sample, address(heap), cut_sample, steps, address(codes) + offset)


def quantise_column_by_permutes(
    values: np.ndarray,
    heap: np.ndarray,
    steps: int,
    reached: np.ndarray,
    codes: np.ndarray,
    column: int,
) -> None:
    """Write the codes of one column with AVX-512: the whole heap stays in registers.

    heap     float32[2**steps]: the cuts, rounded to float32; they must differ from each other
    reached  float64[2**steps]: for each rank, the cut that it has reached, -inf for rank 0. Where
             the search of rounded cuts went one too far, comparing with this cut takes it back. If
             the cuts are float32 themselves: a float32 array, whose content is not read
    values, codes  as in quantise_column
    """
    value_sample, exact_sample = values.dtype.type(0), reached.dtype.type(0)
    for row in range(0, values.size, 64):
        offset = (row // BLOCK_ROWS * codes.shape[1] + column) * BLOCK_ROWS + row % BLOCK_ROWS
        value = address(values) + row * values.itemsize
        code = address(codes) + offset
        if steps == 4:
            code_64_by_4(value, value_sample, address(heap), address(reached), exact_sample, code)
        elif steps == 6:
            code_64_by_6(value, value_sample, address(heap), address(reached), exact_sample, code)
        else:
            code_64_by_8(value, value_sample, address(heap), address(reached), exact_sample, code)
