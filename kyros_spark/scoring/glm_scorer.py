"""Score a generalised linear model: table look-ups and slopes, feature by feature.

Kernel `numpy` needs no compiler; it performs the same operations and so gives the same scores.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import types

from kyros_spark.errors import DataContractError
from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.kernels.table_sum import add_slope, add_table
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.segment_terms import SegmentTerms


class GlmScorer:
    """Linear predictor in float64, summed as intercept + offset, then feature by feature."""

    quantise_seconds = 0.0

    def __init__(self, model: Model, kernel: str = "portable") -> None:
        self.kernel = kernel
        self._name = model.manifest.name
        self._features = model.manifest.features
        starts = model.arrays["table_start"]
        values = model.arrays["table_value"]
        self._tables = [values[a:b] for a, b in pairwise(starts)]
        self._segments = SegmentTerms(model, kernel) if model.manifest.by else None

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return `start` (float64[1, n], linear predictor) plus every feature's term."""
        sums = start[0].copy()
        first = self._first_values(columns)
        for number, column in enumerate(columns):
            self._add_term(number, column, first, sums)
        return sums[None]

    def terms(self, columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
        """Return what `raw` adds, feature by feature: float64[rows, features].

        What a segment's constant adds is the term of the last of its keys.
        """
        by_feature = np.zeros((len(self._features), rows))
        first = self._first_values(columns)
        for number, column in enumerate(columns):
            self._add_term(number, column, first, by_feature[number])
        return by_feature.T

    def _first_values(self, columns: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return where each row's coefficients begin, int64[n], if there are segments."""
        if self._segments is None:
            return None
        rated = self._segments.rated
        return self._segments.first_values(
            [
                self._codes(feature.name, len(feature.levels), column)
                for feature, column in zip(self._features[rated:], columns[rated:], strict=True)
            ]
        )

    def _add_term(
        self, number: int, column: np.ndarray, first: np.ndarray | None, sums: np.ndarray
    ) -> None:
        feature, table = self._features[number], self._tables[number]
        if self._segments is not None and first is not None:
            self._add_segment_term(self._segments, number, column, first, sums)
        elif feature.levels:
            self._add_levels(table, self._codes(feature.name, table.size, column), sums)
        else:
            impute = np.nan if feature.impute is None else feature.impute
            self._add_slope(table[0], impute, column, sums)

    def _add_segment_term(
        self,
        segments: SegmentTerms,
        number: int,
        column: np.ndarray,
        first: np.ndarray,
        sums: np.ndarray,
    ) -> None:
        feature = self._features[number]
        if number >= segments.rated:  # a key: the last one stands for the segment's constant
            if number == len(self._features) - 1:
                segments.add_constants(first, sums)
        elif feature.levels:
            codes = self._codes(feature.name, len(feature.levels), column)
            segments.add_levels(number, codes, first, sums)
        else:
            impute = np.nan if feature.impute is None else feature.impute
            segments.add_slopes(number, column, impute, first, sums)

    def _add_levels(self, table: np.ndarray, codes: np.ndarray, sums: np.ndarray) -> None:
        if self.kernel == "numpy":
            sums += table[codes]
            return
        add = compiled(add_table, read_only("i4"), read_only("f8"), writable("f8"))
        add(codes, table, sums)

    def _add_slope(self, slope: float, impute: float, column: np.ndarray, sums: np.ndarray) -> None:
        if self.kernel == "numpy":
            values = column.astype(np.float64)
            sums += slope * np.where(np.isnan(values), impute, values)
            return
        number = types.float64
        add = compiled(add_slope, read_only(column.dtype), number, number, writable("f8"))
        add(column, slope, impute, sums)

    def _codes(self, name: str, levels: int, column: np.ndarray) -> np.ndarray:
        is_valid = (column >= 0) & (column < levels)
        if not is_valid.all():
            invalid = column[~is_valid][0]
            raise DataContractError(
                f"{self._name}: feature {name}: expected codes 0 to {levels - 1}, found {invalid}"
            )
        codes = column.astype(np.int32)
        codes.flags.writeable = False
        return codes
