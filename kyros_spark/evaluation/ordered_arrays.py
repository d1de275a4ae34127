"""Cumulate sums in order of a value, of rows in this process: see ordered.py for the definitions.

Rows are sorted once by value, and each selection of them is summed by distinct value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kyros_spark.evaluation.arrays import Numbers
from kyros_spark.evaluation.ordered import TOLERANCE


class OrderedRows:
    """Rows with a value each; equal values are one group, which nothing divides."""

    def __init__(self, values: np.ndarray) -> None:
        """Find the distinct values, in rising order; NaN, which equals itself, comes last."""
        # Adding zero makes -0.0 a 0.0, as it is for Spark.
        self.distinct, codes = np.unique(values + 0.0, return_inverse=True)
        self._codes = codes.reshape(-1)

    def tie_groups(self, columns: Mapping[str, Numbers], rows: np.ndarray) -> TieGroups:
        """Return the sums of columns by distinct value, of rows given by their positions."""
        codes, count = self._codes[rows], self.distinct.size
        present = np.flatnonzero(np.bincount(codes, minlength=count))
        sums = {}
        for name, column in columns.items():
            given = column.given[rows]
            values = np.where(given, column.values[rows], 0.0)
            counts = np.bincount(codes, given, minlength=count)[present]
            sums[name] = Numbers(np.bincount(codes, values, minlength=count)[present], counts > 0)
        return TieGroups(self.distinct[present], sums)


class TieGroups:
    """The sums of each distinct value, in order; those of units and observed among them."""

    def __init__(self, values: np.ndarray, sums: Mapping[str, Numbers]) -> None:
        """Take the values and the sums by name."""
        self._values, self._sums = values, sums

    def gini(self) -> float | None:
        """Return 1 - 2 x the area under the Lorenz curve: see ordered.gini."""
        units, observed = (self._sums[name].values for name in ("units", "observed"))
        if not units.sum() or not observed.sum():
            return None
        area = np.sum(units * _to_middle(observed))
        return float(1 - 2 * area / (units.sum() * observed.sum()))

    def quantiles(self, count: int) -> list[dict[str, Any]]:
        """Return the sums of ``count`` groups of equal units: see ordered.quantiles."""
        units = self._sums["units"].values
        with np.errstate(invalid="ignore", divide="ignore"):
            share = _to_middle(units) / units.sum()
        if not np.isfinite(share).all():  # no units at all
            return []
        number = np.minimum(np.floor(share * count + TOLERANCE), count - 1).astype(int)
        filled, first = np.unique(number, return_index=True)
        last = np.append(first[1:], number.size) - 1
        rows: list[dict[str, Any]] = [
            {"quantile": int(n) + 1, "least": low, "most": high}
            for n, low, high in zip(
                filled, self._values[first].tolist(), self._values[last].tolist(), strict=True
            )
        ]
        for name, column in self._sums.items():
            given = np.bincount(number, column.given, minlength=count)[filled]
            values = np.bincount(number, column.values, minlength=count)[filled].tolist()
            for row, value, is_given in zip(rows, values, given, strict=True):
                row[name] = value if is_given else None
        return rows


def _to_middle(sums: np.ndarray) -> np.ndarray:
    """Return the sum of all lower values and half of each value itself."""
    return np.cumsum(sums) - sums / 2
