"""Score a generalised linear model: table look-ups and slopes, feature by feature."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import types

from kyros_spark.errors import DataContractError
from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.kernels.table_sum import add_slope, add_table
from kyros_spark.model.artefact import Model


class GlmScorer:
    """Linear predictor in float64, summed in the order intercept + offset, then the features."""

    kernel = "portable"

    def __init__(self, model: Model) -> None:
        self._name = model.manifest.name
        self._features = model.manifest.features
        starts = model.arrays["table_start"]
        values = model.arrays["table_value"]
        self._tables = [values[a:b] for a, b in pairwise(starts)]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Add every feature's term to `start` (float64[1, n]) and return it."""
        sums = start[0]
        for feature, table, column in zip(self._features, self._tables, columns, strict=True):
            if feature.levels:
                codes = self._codes(feature.name, table.size, column)
                add = compiled(add_table, read_only("i4"), read_only("f8"), writable("f8"))
                add(codes, table, sums)
            else:
                impute = np.nan if feature.impute is None else feature.impute
                number = types.float64
                add = compiled(add_slope, read_only(column.dtype), number, number, writable("f8"))
                add(column, table[0], impute, sums)
        return start

    def _codes(self, name: str, levels: int, column: np.ndarray) -> np.ndarray:
        known = (column >= 0) & (column < levels)
        if not known.all():
            found = column[~known][0]
            raise DataContractError(
                f"{self._name}: feature {name}: expected codes 0 to {levels - 1}, found {found}"
            )
        codes = column.astype(np.int32)
        codes.flags.writeable = False
        return codes
