"""Hold how exposure lies over the bins of a column: the sums that every measure of drift needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kyros_spark.model.manifest import MISSING_LEVEL


@dataclass(frozen=True, eq=False)
class Histogram:
    """Sums over the rows of one column by bin.

    bins      the bins' names: levels, or numbers of frozen ranges in rising order; MISSING_LEVEL
              for rows without a value
    rows      float64[bins]: rows
    weight    float64[bins]: exposure
    squared   float64[bins]: exposure squared, which tells how many rows the exposure is worth
    total     float64[bins]: exposure x value of a number; 0 for levels
    least     the smallest number; None for levels and where there is none. most: the largest.
    """

    bins: tuple[str, ...]
    rows: np.ndarray
    weight: np.ndarray
    squared: np.ndarray
    total: np.ndarray
    least: float | None = None
    most: float | None = None

    @cached_property
    def effective_rows(self) -> float:
        """Return how many rows of equal exposure vary as much: (sum w)^2 / sum w^2 (Kish, 1965)."""
        squared = float(self.squared.sum())
        return float(self.weight.sum()) ** 2 / squared if squared > 0 else 0.0

    @property
    def shares(self) -> np.ndarray:
        """Return the bins' shares of exposure, float64[bins]; call it where there is exposure."""
        shares: np.ndarray = self.weight / self.weight.sum()
        return shares

    @property
    def row_count(self) -> int:
        """Return the number of rows, those without a value included."""
        return int(self.rows.sum())

    @property
    def missing_rows(self) -> int:
        """Return the number of rows without a value."""
        return int(self.rows[self._is_missing].sum())

    @property
    def missing_share(self) -> float | None:
        """Return the share of exposure without a value; None where there is no exposure."""
        whole = float(self.weight.sum())
        return float(self.weight[self._is_missing].sum()) / whole if whole > 0 else None

    @property
    def mean(self) -> float | None:
        """Return the mean of a number by exposure; None where no row has one."""
        given = ~self._is_missing
        weight = float(self.weight[given].sum())
        return float(self.total[given].sum()) / weight if weight > 0 else None

    @property
    def given(self) -> Histogram:
        """Return the bins of the rows that have a value."""
        return self.chosen(~self._is_missing)

    @property
    def _is_missing(self) -> np.ndarray:
        return np.array([name == MISSING_LEVEL for name in self.bins], bool)

    def chosen(self, bins: np.ndarray) -> Histogram:
        """Return some of the bins, bool[bins]."""
        names = tuple(name for name, keep in zip(self.bins, bins, strict=True) if keep)
        return self._with(names, {name: getattr(self, name)[bins] for name in ARRAYS})

    def over(self, bins: Sequence[str]) -> Histogram:
        """Return the same sums over other bins, which hold all of these; the others are empty."""
        places = {name: n for n, name in enumerate(bins)}
        at = np.array([places[name] for name in self.bins], np.int64)
        arrays = {name: np.zeros(len(bins)) for name in ARRAYS}
        for name, sums in arrays.items():
            sums[at] = getattr(self, name)
        return self._with(tuple(bins), arrays)

    def joined(self, groups: np.ndarray, names: Sequence[str]) -> Histogram:
        """Return the bins joined: bin k to group groups[k], int64[bins], of these names."""
        arrays = {n: np.bincount(groups, getattr(self, n), len(names)) for n in ARRAYS}
        return self._with(tuple(names), arrays)

    def _with(self, bins: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> Histogram:
        return Histogram(bins, **arrays, least=self.least, most=self.most)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it; ``histogram_from_json`` reads it."""
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        return {"bins": list(self.bins), **arrays, "least": self.least, "most": self.most}


ARRAYS = ("rows", "weight", "squared", "total")


def histogram_from_json(document: Mapping[str, Any]) -> Histogram:
    """Return the histogram that ``Histogram.to_json`` gave."""
    arrays = {name: np.array(document[name], np.float64) for name in ARRAYS}
    return Histogram(tuple(document["bins"]), **arrays, least=document["least"],
                     most=document["most"])  # fmt: skip


def aligned(first: Histogram, second: Histogram) -> tuple[Histogram, Histogram]:
    """Return both over the bins of either, in the order of the first, then of the second."""
    bins = tuple(dict.fromkeys([*first.bins, *second.bins]))
    return first.over(bins), second.over(bins)
