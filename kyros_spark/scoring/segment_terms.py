"""Add the terms of a GLM with segments: each row takes the coefficients of its own segment."""

from collections.abc import Sequence

import numpy as np
from numba import types

from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.kernels.segment_sum import add_segment_slope, add_segment_table
from kyros_spark.model.artefact import Model
from kyros_spark.model.segments import key_strides, rows_of_keys


class SegmentTerms:
    """The coefficients of a model's segments; rows whose segment has none take the parent's."""

    def __init__(self, model: Model, kernel: str) -> None:
        self._kernel = kernel
        manifest, arrays = model.manifest, model.arrays
        self.rated = len(manifest.features) - len(manifest.by)
        self._starts = 1 + arrays["table_start"][: self.rated + 1]
        self._terms = int(self._starts[-1])
        self._values = arrays["segment_value"]
        self._key, self._row = arrays["segment_key"], arrays["segment_row"]
        self._strides = key_strides(manifest.features[self.rated :])

    def first_values(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Return where each row's coefficients begin, int64[n].

        codes: one int32[n] per key, in the manifest's order
        """
        keys = np.zeros(codes[0].size, np.int64)
        for code, stride in zip(codes, self._strides, strict=True):
            keys += code * stride
        first = rows_of_keys(keys, self._strides, self._key, self._row) * self._terms
        first.flags.writeable = False
        return first

    def add_constants(self, first: np.ndarray, sums: np.ndarray) -> None:
        """Add what each segment's constant has more than the model's intercept."""
        sums += self._values[first]

    def add_levels(
        self, number: int, codes: np.ndarray, first: np.ndarray, sums: np.ndarray
    ) -> None:
        """Add the coefficient of each row's level of a feature. codes: int32[n], checked."""
        start = int(self._starts[number])
        if self._kernel == "numpy":
            sums += self._values[first + start + codes]
            return
        add = compiled(
            add_segment_table, read_only("i4"), read_only("i8"), types.int64, read_only("f8"),
            writable("f8"),
        )  # fmt: skip
        add(codes, first, start, self._values, sums)

    def add_slopes(
        self, number: int, values: np.ndarray, impute: float, first: np.ndarray, sums: np.ndarray
    ) -> None:
        """Add slope times value of a numeric feature; `impute` replaces a NaN."""
        start = int(self._starts[number])
        if self._kernel == "numpy":
            numbers = values.astype(np.float64)
            sums += self._values[first + start] * np.where(np.isnan(numbers), impute, numbers)
            return
        add = compiled(
            add_segment_slope, read_only(values.dtype), read_only("i8"), types.int64,
            read_only("f8"), types.float64, writable("f8"),
        )  # fmt: skip
        add(values, first, start, self._values, impute, sums)
