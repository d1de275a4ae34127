"""Distribute weight over a number's values: a table of bounded size, exact or in cells.

A double's bits, its sign set right, rise with the number. A cell is the numbers that share the
leading bits. The cells are single values as long as there are at most LIMIT of them; beyond, the
last bits are dropped one by one until the cells fit. How many are dropped depends on the set of
values alone, not on their order or division: a part of the rows never needs fewer bits than all of
them. Where a cell is too heavy, a second pass over the rows looks into it (`spread.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numba import types

from kyros_spark.aggregates.exact_sums import ExactSums
from kyros_spark.aggregates.packed import packed, unpacked
from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.find_cells import OUTSIDE, UNKNOWN, find_cells, widen_cells

LIMIT = 4096

# A batch's values (float64[n], NaN where there is none) and weights (float64[n]), by number.
Weighed = Callable[[pa.RecordBatch], Mapping[str, tuple[np.ndarray, np.ndarray]]]
Ranges = tuple[np.ndarray, np.ndarray]  # first and last ordered bits of each, uint64, rising


class _Table:
    """One number's cells: their leading bits, weight, and least and largest ordered bits."""

    def __init__(self, ranges: Ranges | None) -> None:
        self.ranges = ranges
        self.dropped = 0
        self.cells = np.zeros(0, np.uint64)
        self.least, self.most, self.weight = _nothing(0)

    def add(self, values: np.ndarray, weights: np.ndarray) -> None:
        words = (np.asarray(values, np.float64) + 0.0).view(np.uint64)  # 0.0 and -0.0 are one
        bits, places = np.empty_like(words), np.empty(words.size, np.int64)
        if self._find(words, bits, places):
            places = self._with_new_cells(words, bits, places)
        _kernels()[1](bits, places, self.least, self.most)
        self.weight.add(weights, places)

    def _with_new_cells(
        self, words: np.ndarray, bits: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Make cells for the numbers that have none; return the places of all."""
        before, dropped, unknown = self.cells, self.dropped, places == UNKNOWN
        single = _different(bits[unknown])
        self._room_for(single, single, single)
        if self.dropped != dropped:
            self._find(words, bits, places)
            return places
        moved = np.concatenate([np.searchsorted(self.cells, before), [UNKNOWN, OUTSIDE]])[places]
        moved[unknown] = np.searchsorted(self.cells, bits[unknown] >> np.uint64(dropped))
        return moved

    def _find(self, words: np.ndarray, bits: np.ndarray, places: np.ndarray) -> int:
        """Write each number's ordered bits and cell; return how many have none."""
        nothing = np.zeros(0, np.uint64)
        first, last = (nothing, nothing) if self.ranges is None else self.ranges
        unknown: int = _kernels()[0](words, first, last, self.cells, self.dropped, bits, places)
        return unknown

    def merge(self, dropped: int, arrays: list[np.ndarray]) -> None:
        least, most, *sums = arrays
        self._drop(max(self.dropped, dropped))
        places = self._room_for(least, least, most)
        _add(self.weight, ExactSums.from_arrays(*sums), places)

    def _room_for(self, bits: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
        """Make cells for bits, rising, with the ends of what they stand for; return their cells."""
        union = _different(np.concatenate([self.cells, bits >> np.uint64(self.dropped)]))
        if union.size > LIMIT:
            # As many of the neighbours as are too many have to become alike.
            differ = np.partition(union[1:] ^ union[:-1], -LIMIT)[-LIMIT]
            more = int(differ).bit_length()
            self._drop(self.dropped + more)
            union = _different(union >> np.uint64(more))
        self._place(union, np.searchsorted(union, self.cells))
        places = np.searchsorted(union, bits >> np.uint64(self.dropped))
        _widen(self.least, self.most, least, most, places)
        return places

    def _drop(self, dropped: int) -> None:
        """Drop bits until so many are dropped, and join the cells that became one."""
        if dropped > self.dropped:
            shorter = self.cells >> np.uint64(dropped - self.dropped)
            self.dropped = dropped
            self.cells = _different(shorter)
            self._place(self.cells, np.searchsorted(self.cells, shorter))

    def _place(self, cells: np.ndarray, places: np.ndarray) -> None:
        """Make these the cells, and move what was summed to its place, rising, among them."""
        least, most, weight = _nothing(cells.size)
        _widen(least, most, self.least, self.most, places)
        _add(weight, self.weight, places)
        self.cells, self.least, self.most, self.weight = cells, least, most, weight


class Cells:
    """The cells of several numbers."""

    def __init__(self, weighed: Weighed, ranges: Mapping[str, Ranges | None]) -> None:
        """Begin with no rows.

        weighed: gives a batch's values and weights by number
        ranges: the numbers, and for each the ranges of ordered bits to look at (None: all)
        """
        self._weighed = weighed
        self.tables = {name: _Table(of_name) for name, of_name in ranges.items()}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        weighed = self._weighed(batch)
        for name, table in self.tables.items():
            table.add(*weighed[name])

    def merge(self, other: bytes) -> None:
        """Add the rows behind another state."""
        dropped, arrays = unpacked(other)
        for n, (table, bits) in enumerate(zip(self.tables.values(), dropped, strict=True)):
            table.merge(bits, arrays[5 * n : 5 * n + 5])

    def to_bytes(self) -> bytes:
        """Return the state as bytes that ``merge`` reads."""
        arrays: list[np.ndarray] = []
        for table in self.tables.values():
            arrays += [table.least, table.most, *table.weight.arrays()]
        return packed([table.dropped for table in self.tables.values()], arrays)


def _different(values: np.ndarray) -> np.ndarray:
    """Return each value once, rising: sorting takes a fifth of the time of NumPy's own hashing."""
    rising = np.sort(values)
    is_first = np.ones(rising.size, bool)
    np.not_equal(rising[1:], rising[:-1], out=is_first[1:])
    return rising[is_first]


def _nothing(count: int) -> tuple[np.ndarray, np.ndarray, ExactSums]:
    """Return the least and largest ordered bits of cells without rows, and their weight."""
    least = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    return least, np.zeros(count, np.uint64), ExactSums(count)


def _widen(
    least: np.ndarray, most: np.ndarray, low: np.ndarray, high: np.ndarray, places: np.ndarray
) -> None:
    """Widen the ends of cells, in place, to hold other cells' that lie in rising places."""
    if places.size:
        starts = _starts(places)
        cells = places[starts]
        least[cells] = np.minimum(least[cells], np.minimum.reduceat(low, starts))
        most[cells] = np.maximum(most[cells], np.maximum.reduceat(high, starts))


def _add(into: ExactSums, sums: ExactSums, places: np.ndarray) -> None:
    """Add sums in rising places, several of which may be the same."""
    starts = _starts(places)
    if starts.size == places.size:
        into.merge(sums, places)
        return
    into.merge(sums.joined(starts), places[starts])


def _starts(places: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(places, prepend=-1))


@functools.cache
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    vector, whole = writable("u8"), writable("i8")
    return (
        compiled(find_cells, vector, vector, vector, vector, types.int64, vector, whole),
        compiled(widen_cells, vector, whole, vector, vector),
    )
