"""Lay out a tree model's cuts as code columns, and its splits as tests of those columns."""

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.kernels.quantise import CUTS_PER_COLUMN, SEARCH_STEPS
from kyros_spark.kernels.row_bits import MASK_SHIFT
from kyros_spark.scoring.category_columns import set_tests

Arrays = dict[str, np.ndarray]
MAX_COLUMNS = 2**16
HEAP_ENTRIES = 1 << SEARCH_STEPS[-1]


def build_columns(model: Arrays) -> Arrays:
    """Return the columns' features and heaps, see kernels/quantise.py.

    column_feature  int64[columns]; a feature with more than 254 cuts has several columns, a feature
                    that no split uses has none
    column_steps    int64[columns]
    heaps           float32 or float64[columns, 256]
    and for float64 cuts
    rounded_heaps   float32[columns, 256]: the rounded cuts
    reached         float64[columns, 256]: the cut that each rank has reached
    is_distinct     uint8[columns]: 1 if the rounded cuts differ from each other
    """
    runs = _runs(model["cut_start"])
    feature, first, count = runs
    cuts = model["cut_value"]
    steps = np.array(SEARCH_STEPS)[np.searchsorted(1 << np.array(SEARCH_STEPS), count, "right")]
    tables: Arrays = {
        "column_feature": feature,
        "column_steps": steps,
        "heaps": np.full((feature.size, HEAP_ENTRIES), np.nan, cuts.dtype),
    }
    exact = cuts.dtype == np.float64
    if exact:
        tables["rounded_heaps"] = np.full((feature.size, HEAP_ENTRIES), np.nan, np.float32)
        tables["reached"] = np.full((feature.size, HEAP_ENTRIES), -np.inf)
        tables["is_distinct"] = np.zeros(feature.size, np.uint8)
    for column, (start, size) in enumerate(zip(first, count, strict=True)):
        column_cuts = cuts[start : start + size]
        tables["heaps"][column] = _heap(column_cuts, steps[column])
        if exact:
            with np.errstate(over="ignore"):
                rounded = column_cuts.astype(np.float32)
            tables["rounded_heaps"][column] = _heap(rounded, steps[column])
            tables["reached"][column, 1 : size + 1] = column_cuts
            tables["is_distinct"][column] = (rounded[1:] > rounded[:-1]).all()
    return tables


def build_tests(model: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each split's column, threshold and shift, as kernels/sliced.py reads them.

    Splits by categories use the columns of category_columns.py, which follow those of the cuts.
    """
    by_set = model["split_cut"] >= model["cut_value"].size
    if not by_set.any():
        return _cut_tests(model)
    first = int((-(-np.diff(model["cut_start"]) // CUTS_PER_COLUMN)).sum())
    set_column, mask = set_tests(model, by_set)
    column, threshold, shift = (np.zeros(by_set.size, np.int64) for _ in range(3))
    column[by_set], threshold[by_set], shift[by_set] = first + set_column, mask, MASK_SHIFT
    numeric = {name: model[name][~by_set] for name in ("split_cut", "split_missing_left")}
    column[~by_set], threshold[~by_set], shift[~by_set] = _cut_tests({**model, **numeric})
    if column.max(initial=0) >= MAX_COLUMNS:
        raise ModelNotSupportedError(
            f"{column.max()} code columns are needed, the engine has 65536"
        )
    return column, threshold, shift


def _cut_tests(model: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, thresholds, shifts: a row goes right if `code - shift >= threshold`."""
    starts = model["cut_start"]
    per_feature = -(-np.diff(starts) // CUTS_PER_COLUMN)
    first_column = np.concatenate([[0], np.cumsum(per_feature)])
    cut = model["split_cut"].astype(np.int64)
    feature = np.searchsorted(starts, cut, side="right") - 1
    rank = cut - starts[feature]
    column = first_column[feature] + rank // CUTS_PER_COLUMN
    shift = 1 - model["split_missing_left"].astype(np.int64)
    return column, rank % CUTS_PER_COLUMN + 2 - shift, shift  # a code is the rank + 1


def _runs(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split each feature's cuts into runs of at most 254: feature, first cut, number of cuts."""
    counts = np.diff(starts)
    per_feature = -(-counts // CUTS_PER_COLUMN)
    columns = int(per_feature.sum())
    if columns > MAX_COLUMNS:
        raise ModelNotSupportedError(f"{columns} code columns are needed, the engine has 65536")
    feature = np.repeat(np.arange(counts.size), per_feature)
    first_column = np.cumsum(per_feature) - per_feature
    within = (np.arange(columns) - first_column[feature]) * CUTS_PER_COLUMN
    return feature, starts[feature] + within, np.minimum(counts[feature] - within, CUTS_PER_COLUMN)


def _heap(cuts: np.ndarray, steps: int) -> np.ndarray:
    """Lay out sorted cuts as a search heap of 2**steps entries; unused entries are NaN."""
    padded = np.full((1 << steps) - 1, np.nan, cuts.dtype)
    padded[: cuts.size] = cuts
    heap = np.full(HEAP_ENTRIES, np.nan, cuts.dtype)
    for step in range(steps):
        half = 1 << (steps - step - 1)
        heap[1 << step : 2 << step] = padded[half - 1 :: 2 * half]
    return heap
