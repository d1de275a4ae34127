"""Replace values by their rank among a model's own cuts: no comparison changes its answer.

A tree only asks `value < cut`. With the cuts of a feature sorted, `rank = #(cut <= value)` answers
every such question: `value < cut[j]` exactly when `rank <= j`. The code stored is `rank + 1`, so
that 0 is left for a missing value. A code is a byte, so a column ranks at most 254 cuts; a feature
with more cuts has several columns, each for a run of them.

The cuts lie in a heap: entry 1 is the middle cut, entries 2 and 3 the middles of the halves, and so
on; a search steps from e to 2e or 2e + 1, and after `steps` steps e - 2**steps is the rank. Missing
cuts are NaN, which no value reaches.
"""

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS, address
from kyros_spark.kernels.search import code_8, code_64_by_4, code_64_by_6, code_64_by_8

CUTS_A_COLUMN = 254
SEARCH_STEPS = (4, 6, 8)  # few, so that the vector search needs few forms


def quantise_column(
    values: np.ndarray, heap: np.ndarray, steps: int, codes: np.ndarray, column: int
) -> None:
    """Write the codes of one column, on any CPU.

    values  float32 or float64[rows], rounded to the cuts' precision first, as XGBoost does; rows is
            a multiple of 64
    heap    float32 or float64[2**steps], the column's cuts
    codes   uint8[blocks, columns, BLOCK_ROWS]
    """
    zero, none = values.dtype.type(0), heap.dtype.type(0)
    for row in range(0, values.size, 8):
        place = (row // BLOCK_ROWS * codes.shape[1] + column) * BLOCK_ROWS + row % BLOCK_ROWS
        value = address(values) + row * values.itemsize
        code_8(value, zero, address(heap), none, steps, address(codes) + place)


def quantise_column_by_permutes(
    values: np.ndarray,
    heap: np.ndarray,
    steps: int,
    reached: np.ndarray,
    codes: np.ndarray,
    column: int,
) -> None:
    """Write the codes of one column, by AVX-512: the whole heap stays in registers.

    heap    float32[2**steps]: the cuts, rounded to float32
    reached  float64[2**steps]: of each rank the cut it has reached, -inf for rank 0; where the
            rounded search went one too far, this comparison takes it back. A float32 array (its
            content is not read) when the cuts are float32 themselves.
    Otherwise as quantise_column; the rounded cuts must differ from each other.
    """
    zero, exact = values.dtype.type(0), reached.dtype.type(0)
    for row in range(0, values.size, 64):
        place = (row // BLOCK_ROWS * codes.shape[1] + column) * BLOCK_ROWS + row % BLOCK_ROWS
        value = address(values) + row * values.itemsize
        code = address(codes) + place
        if steps == 4:
            code_64_by_4(value, zero, address(heap), address(reached), exact, code)
        elif steps == 6:
            code_64_by_6(value, zero, address(heap), address(reached), exact, code)
        else:
            code_64_by_8(value, zero, address(heap), address(reached), exact, code)
