"""Score without a compiler: plain NumPy gives the same scores, some hundred times slower.

This is the fallback if Numba cannot compile, or not in time. It sums in the same order and
precision as the kernels, so the scores are the same to the last bit.
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
        self._arrays = model.arrays
        self._rule = model.manifest.category_rule
        self._divisor = model.manifest.divisor
        self._cuts = self._arrays["cut_value"]
        sizes = np.diff(self._arrays["cut_start"])
        feature_of_cut = np.repeat(np.arange(sizes.size), sizes)
        feature_of_set = self._arrays.get("set_feature", np.zeros(0, np.int32)).astype(np.int64)
        self._feature = np.concatenate([feature_of_cut, feature_of_set])[self._arrays["split_cut"]]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return the raw scores, float64[outputs, n]; the sums begin at `start` (same shape)."""
        leaf_value = self._arrays["leaf_value"]
        n_trees = self._arrays["tree_start"].size - 1
        borders = self._arrays.get("output_start", np.array([0, n_trees]))
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

    def leaves(self, tree: int, columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
        """Return the leaf that each row reaches in a tree, numbered over all trees (int64[n])."""
        return self._leaves(tree, self._matrix(columns, slice(None), rows))

    def goes_left(self, split: int, values: np.ndarray) -> np.ndarray:
        """Say which values of the split's feature go left at the split, bool[n]."""
        with np.errstate(over="ignore"):
            rounded = values.astype(self._cuts.dtype)
        cut = np.full(rounded.size, self._arrays["split_cut"][split], np.int64)
        missing_left = self._arrays["split_missing_left"][split] == 1
        return np.where(np.isnan(rounded), missing_left, self._goes_left(cut, rounded))

    def _matrix(self, columns: Sequence[np.ndarray], part: slice, rows: int) -> np.ndarray:
        values = np.zeros((len(columns), rows), self._cuts.dtype)
        with np.errstate(over="ignore"):
            for number, column in enumerate(columns):
                values[number] = column[part]
        return values

    def _leaves(self, tree: int, values: np.ndarray) -> np.ndarray:
        arrays, start = self._arrays, int(self._arrays["tree_start"][tree])
        node = np.full(values.shape[1], 0 if arrays["tree_start"][tree + 1] > start else ~0)
        while (rows := np.flatnonzero(node >= 0)).size:
            split = start + node[rows]
            value = values[self._feature[split], rows]
            left = self._goes_left(arrays["split_cut"][split].astype(np.int64), value)
            left = np.where(np.isnan(value), arrays["split_missing_left"][split] == 1, left)
            node[rows] = np.where(left, arrays["split_left"][split], arrays["split_right"][split])
        return start + tree + ~node

    def _goes_left(self, cut: np.ndarray, value: np.ndarray) -> np.ndarray:
        left = np.zeros(cut.size, bool)
        by_set = cut >= self._cuts.size
        left[~by_set] = value[~by_set] < self._cuts[cut[~by_set]]
        if by_set.any():
            left[by_set] = ~self._in_right_set(cut[by_set] - self._cuts.size, value[by_set])
        return left

    def _in_right_set(self, number: np.ndarray, value: np.ndarray) -> np.ndarray:
        arrays, category = self._arrays, categories(value, self._rule)
        begin, end = arrays["set_start"][number], arrays["set_start"][number + 1]
        right = arrays["set_other_right"][number] == 1
        in_range = (category >= 0) & (category < 8 * (end - begin))
        bits = arrays["set_bits"][begin[in_range] + category[in_range] // 8] >> (
            category[in_range] % 8
        )
        right[in_range] = bits & 1 == 1
        return right


def categories(values: np.ndarray, rule: str) -> np.ndarray:
    """Return each value's category (int64[n]) by the manifest's rule, -1 where it has none."""
    in_range = np.isfinite(values) & (values > -1) & (values < MAX_CATEGORIES)
    candidate = np.where(in_range, values, -1).astype(np.float64)
    category = np.trunc(candidate) if rule == "truncate" else np.floor(candidate)
    if rule == "whole":
        category = np.where(category == candidate, category, -1)
    return category.astype(np.int64)
