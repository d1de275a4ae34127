"""Score without a compiler: the same answers by plain NumPy, some hundred times slower.

What is left where Numba cannot compile, or not in time. Sums are made in the same order and
precision as the kernels make them, so the scores are the same to the last bit.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kyros_spark.model.artefact import Model
from kyros_spark.model.category_sets import MAX_CATEGORIES

CHUNK_ROWS = 8192


class NumpyTrees:
    """Walks tree after tree, all rows of a chunk side by side."""

    kernel = "numpy"
    quantise_seconds = 0.0

    def __init__(self, model: Model) -> None:
        self._a = model.arrays
        self._rule = model.manifest.category_rule
        self._divisor = model.manifest.divisor
        self._cuts = self._a["cut_value"]
        sizes = np.diff(self._a["cut_start"])
        of_cut = np.repeat(np.arange(sizes.size), sizes)
        of_set = self._a.get("set_feature", np.zeros(0, np.int32)).astype(np.int64)
        self._feature = np.concatenate([of_cut, of_set])[self._a["split_cut"]]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return the raw scores, float64[outputs, n], as is `start`, from which the sums begin."""
        leaf_value = self._a["leaf_value"]
        n_trees = self._a["tree_start"].size - 1
        borders = self._a.get("output_start", np.array([0, n_trees]))
        with np.errstate(over="ignore"):
            sums = start.astype(leaf_value.dtype)
        for first in range(0, start.shape[1], CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            values = self._matrix(columns, part, sums[:, part].shape[1])
            for output, (begin, end) in zip(sums, pairwise(borders), strict=True):
                for tree in range(begin, end):
                    output[part] += leaf_value[self._leaves(tree, values)]
        if self._divisor != 1.0:
            sums /= sums.dtype.type(self._divisor)
        return sums.astype(np.float64)

    def _matrix(self, columns: Sequence[np.ndarray], part: slice, rows: int) -> np.ndarray:
        values = np.zeros((len(columns), rows), self._cuts.dtype)
        with np.errstate(over="ignore"):
            for number, column in enumerate(columns):
                values[number] = column[part]
        return values

    def _leaves(self, tree: int, values: np.ndarray) -> np.ndarray:
        a, start = self._a, int(self._a["tree_start"][tree])
        at = np.full(values.shape[1], 0 if a["tree_start"][tree + 1] > start else ~0)
        while (rows := np.flatnonzero(at >= 0)).size:
            split = start + at[rows]
            value = values[self._feature[split], rows]
            left = self._goes_left(a["split_cut"][split].astype(np.int64), value)
            left = np.where(np.isnan(value), a["split_missing_left"][split] == 1, left)
            at[rows] = np.where(left, a["split_left"][split], a["split_right"][split])
        return start + tree + ~at

    def _goes_left(self, cut: np.ndarray, value: np.ndarray) -> np.ndarray:
        left = np.zeros(cut.size, bool)
        by_set = cut >= self._cuts.size
        left[~by_set] = value[~by_set] < self._cuts[cut[~by_set]]
        if by_set.any():
            left[by_set] = ~self._in_right_set(cut[by_set] - self._cuts.size, value[by_set])
        return left

    def _in_right_set(self, number: np.ndarray, value: np.ndarray) -> np.ndarray:
        a, category = self._a, categories(value, self._rule)
        begin, end = a["set_start"][number], a["set_start"][number + 1]
        right = a["set_other_right"][number] == 1
        own = (category >= 0) & (category < 8 * (end - begin))
        held = a["set_bits"][begin[own] + category[own] // 8] >> (category[own] % 8)
        right[own] = held & 1 == 1
        return right


def categories(values: np.ndarray, rule: str) -> np.ndarray:
    """Return each value's category by the manifest's rule, -1 where it is none."""
    known = np.isfinite(values) & (values > -1) & (values < MAX_CATEGORIES)
    whole = np.where(known, values, -1).astype(np.float64)
    found = np.trunc(whole) if rule == "truncate" else np.floor(whole)
    if rule == "whole":
        found = np.where(found == whole, found, -1)
    return found.astype(np.int64)
