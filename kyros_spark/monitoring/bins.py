"""Freeze the bins of columns on their baseline: fine ones for distances, coarse ones for shares.

A number has up to FINE ranges of about equal exposure, and one range below its smallest and one
above its largest value of the baseline. A level is a bin of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.spread import Spread
from kyros_spark.kernels.bin_sums import number_bins
from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.kernels.find_cells import SIGN
from kyros_spark.model.manifest import MISSING_LEVEL
from kyros_spark.monitoring.histogram import Histogram
from kyros_spark.scoring.arrow_features import as_doubles, levels_of

FINE = 200


@dataclass(frozen=True)
class ColumnBins:
    """The bins of one column.

    cuts    the left ends of a number's ranges but the first, rising; () for levels
    coarse  the cuts among them, by position, that the stability index and the slices keep
    has_ends  the first and the last range are those beyond all values of the baseline
    """

    name: str
    is_number: bool = False
    cuts: tuple[float, ...] = ()
    coarse: tuple[int, ...] = ()
    has_ends: bool = False

    def binned(self, column: pa.Array) -> tuple[list[str], np.ndarray, np.ndarray | None]:
        """Return the bins' names, each row's bin, int64[n], and the numbers, float64[n]."""
        if self.is_number:
            values = as_doubles(column)
            return self.names, self.places(values), values
        texts, codes = levels_of(column, ())
        # A text that reads like the mark of a missing value is the same bin.
        return [*texts, MISSING_LEVEL], np.where(codes < 0, len(texts), codes), None

    def places(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each of some numbers, float64[n], as int64[n]."""
        places = np.empty(values.size, np.int64)
        _kernel()((values + 0.0).view(np.uint64), self._cuts, places)  # 0.0 and -0.0 are one
        return places

    def coarse_codes(self, codes: np.ndarray) -> np.ndarray:
        """Return the coarse bins of fine ones, int64[n]; of levels the same."""
        return self._groups[codes] if self.is_number else codes

    @cached_property
    def coarser(self) -> ColumnBins:
        """Return the coarse bins as bins of their own, for the rows of a slice."""
        if not self.is_number:
            return self
        cuts = tuple(self.cuts[n] for n in self.coarse)
        return ColumnBins(self.name, True, cuts, tuple(range(len(cuts))))

    @cached_property
    def names(self) -> list[str]:
        """Return the names of a number's bins in their order, that of missing values last."""
        return [*(str(n) for n in range(len(self.cuts) + 1)), MISSING_LEVEL]

    @cached_property
    def coarse_names(self) -> list[str]:
        """Return the names of the coarse bins, the missing values last."""
        ends = ["", *(f"{self.cuts[n]:.6g}" for n in self.coarse), ""]
        named = [f"{low}-<{high}" for low, high in pairwise(ends)]
        return [*named, MISSING_LEVEL]

    def full(self, histogram: Histogram) -> Histogram:
        """Return the histogram of a number over all of its bins, in their order."""
        return histogram.over(self.names) if self.is_number else histogram

    def coarsened(self, histogram: Histogram) -> Histogram:
        """Return the histogram over the coarse bins; that of levels as it is."""
        if not self.is_number:
            return histogram
        return self.full(histogram).joined(self._groups, self.coarse_names)

    def outside(self, histogram: Histogram) -> float | None:
        """Return the share of exposure below or above all values of the baseline; None for levels.

        Of the exposure that has a value.
        """
        if not self.has_ends:
            return None
        weight = self.full(histogram).weight[:-1]
        whole = float(weight.sum())
        return float(weight[0] + weight[-1]) / whole if whole > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON takes them; ``bins_from_json`` reads it."""
        cuts, coarse = list(self.cuts), list(self.coarse)
        return {"name": self.name, "is_number": self.is_number, "cuts": cuts, "coarse": coarse,
                "has_ends": self.has_ends}  # fmt: skip

    @cached_property
    def _cuts(self) -> np.ndarray:
        """Return the cuts as bits that rise with them, uint64[c]."""
        bits = (np.array(self.cuts, np.float64) + 0.0).view(np.uint64)
        return np.where(bits & SIGN, ~bits, bits | SIGN)

    @cached_property
    def _groups(self) -> np.ndarray:
        """Return the coarse bin of each fine one, int64[bins]."""
        fine = np.arange(len(self.cuts) + 1)
        groups = np.searchsorted(np.array(self.coarse, np.int64), fine, "left")
        return np.append(groups, len(self.coarse) + 1)


@cache
def _kernel() -> Callable[..., None]:
    words = read_only(np.uint64)
    return compiled(number_bins, words, words, writable(np.int64))


def bins_from_json(document: Mapping[str, Any]) -> ColumnBins:
    """Return the bins that ``ColumnBins.to_json`` gave."""
    cuts, coarse = tuple(document["cuts"]), tuple(document["coarse"])
    has_ends = document["has_ends"]
    return ColumnBins(document["name"], document["is_number"], cuts, coarse, has_ends)


def first_bins(name: str, spread: Spread | None) -> ColumnBins:
    """Return bins of a number without its ends, which a pass over the rows has yet to tell.

    A number of at most FINE values has a bin for each of them.
    """
    if spread is None:
        return ColumnBins(name, True)
    is_few = len(spread.values) <= FINE
    return ColumnBins(name, True, spread.values[1:] if is_few else spread.cuts(FINE))


def frozen(first: ColumnBins, histogram: Histogram, count: int) -> tuple[ColumnBins, Histogram]:
    """Return the bins of a number with its ends and ``count`` coarse ones, and the baseline there.

    histogram: of the baseline, over the bins of `first_bins`.
    """
    full = first.full(histogram)
    if full.least is None or full.most is None:
        return first, full
    # The cuts of `first` lie above the least value, so that it ends the range of nothing.
    cuts = (full.least, *first.cuts, float(np.nextafter(full.most, np.inf)))
    renamed = [str(n + 1) for n in range(len(first.cuts) + 1)]
    shifted = full.joined(np.arange(len(full.bins)), [*renamed, MISSING_LEVEL])
    below = np.cumsum(full.weight[:-1])[:-1]
    targets = full.weight[:-1].sum() * np.arange(1, count) / count
    nearest = {int(np.abs(below - target).argmin()) for target in targets} if below.size else set()
    coarse = tuple(n + 1 for n in sorted(nearest))
    bins = ColumnBins(first.name, True, cuts, coarse, has_ends=True)
    return bins, bins.full(shifted)
