"""Sum exposure by bin for many columns at once, as a mergeable state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.packed import packed, unpacked
from kyros_spark.kernels.bin_sums import bin_sums
from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.monitoring.histogram import ARRAYS, Histogram

_NONE = np.zeros(0)


@dataclass(frozen=True)
class Binned:
    """A batch's rows by bin of one part.

    part     names these bins among others of the same rows
    bins     the bins' names
    codes    int64[n]: each row's bin; the rows of negative codes are left out
    weight   float64[n]: exposure
    values   float64[n]: numbers to be averaged, NaN where missing; None for levels
    """

    part: str
    bins: Sequence[str]
    codes: np.ndarray
    weight: np.ndarray
    values: np.ndarray | None = None


Binning = Callable[[pa.RecordBatch], Iterable[Binned]]


class Histograms:
    """Histograms by part. A part of more than ``most`` bins is given up, in whichever order.

    Memory is bounded: what is given up keeps no bins, so that a column of a million levels, such as
    a key, costs no more than any other.
    """

    def __init__(self, binning: Binning, most: int) -> None:
        """Begin with no rows. binning: gives a batch's rows by bin, for each part."""
        self._binning, self._most = binning, most
        self._parts: dict[str, _Part] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for binned in self._binning(batch):
            part = self._part(binned.part)
            if part.is_given_up:
                continue
            sums, least, most = _sums(binned)
            present = np.flatnonzero(sums[0])
            names = [binned.bins[n] for n in present.tolist()]
            part.add(names, sums[:, present], least, most)

    def merge(self, other: bytes) -> None:
        """Add the rows behind another state."""
        header, arrays = unpacked(other)
        for (name, bins, least, most), sums in zip(header, arrays, strict=True):
            part = self._part(name)
            if bins is None:
                part.give_up()
            elif not part.is_given_up:
                part.add(bins, sums, least, most)

    def to_bytes(self) -> bytes:
        """Return the state as bytes that ``merge`` reads."""
        header = [
            [name, None if part.is_given_up else list(part.places), part.least, part.most_value]
            for name, part in self._parts.items()
        ]
        return packed(header, [part.sums for part in self._parts.values()])

    def result(self) -> dict[str, Histogram | None]:
        """Return the histogram of each part that rows were added to; None where it was given up."""
        return {name: part.histogram() for name, part in self._parts.items()}

    def _part(self, name: str) -> _Part:
        if name not in self._parts:
            self._parts[name] = _Part(self._most)
        return self._parts[name]


class _Part:
    """The sums of one part: the place of each bin, and float64[sums, places]."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.is_given_up = False
        self.places: dict[str, int] = {}
        self.sums = np.zeros((len(ARRAYS), 0))
        self.least: float | None = None
        self.most_value: float | None = None

    def add(
        self, bins: Sequence[str], sums: np.ndarray, least: float | None, most: float | None
    ) -> None:
        at = np.array([self.places.setdefault(b, len(self.places)) for b in bins], np.int64)
        if len(self.places) > self._most:
            self.give_up()
            return
        more = len(self.places) - self.sums.shape[1]
        if more > 0:
            self.sums = np.concatenate([self.sums, np.zeros((len(ARRAYS), more))], axis=1)
        np.add.at(self.sums.T, at, sums.T)  # a text may read like the missing mark
        self.least = _chosen(min, self.least, least)
        self.most_value = _chosen(max, self.most_value, most)

    def give_up(self) -> None:
        self.is_given_up, self.places, self.sums = True, {}, np.zeros((len(ARRAYS), 0))

    def histogram(self) -> Histogram | None:
        if self.is_given_up:
            return None
        arrays = dict(zip(ARRAYS, self.sums, strict=True))
        return Histogram(tuple(self.places), **arrays, least=self.least, most=self.most_value)


def _sums(binned: Binned) -> tuple[np.ndarray, float | None, float | None]:
    """Return the sums of ARRAYS by bin, float64[sums, bins], and the least and largest number."""
    values = _NONE if binned.values is None else binned.values
    sums, ends = np.zeros((len(binned.bins), len(ARRAYS))), np.array([np.inf, -np.inf])
    _kernel()(binned.codes, binned.weight, values, sums, ends)
    least, most = ends.tolist()
    return sums.T, *((least, most) if least <= most else (None, None))


@cache
def _kernel() -> Callable[..., None]:
    bins, numbers = read_only(np.int64), read_only(np.float64)
    outputs = writable(np.float64, 2), writable(np.float64)
    return compiled(bin_sums, bins, numbers, numbers, *outputs)


def _chosen(choose: Any, first: float | None, second: float | None) -> float | None:
    given = [end for end in (first, second) if end is not None]
    return choose(given) if given else None
