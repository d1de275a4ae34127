"""Sum measures of rows by key: of parts of the rows, and of levels within a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.exact_sums import ExactSums
from kyros_spark.aggregates.packed import packed, unpacked
from kyros_spark.aggregates.rows import RowSource

ROWS = "rows"  # a measure of its own: the number of rows

Key = tuple[str, str]
Totals = dict[str, float]


@dataclass(frozen=True)
class Grouped:
    """A batch's rows by level, and what to sum of them.

    part      names this grouping among others of the same rows
    levels    the levels' texts
    codes     int64[n], each row's level; the rows of negative codes are left out
    measures  float64[n] by name
    """

    part: str
    levels: Sequence[str]
    codes: np.ndarray
    measures: Mapping[str, np.ndarray]


Grouping = Callable[[pa.RecordBatch], Iterable[Grouped]]


class KeyedSums:
    """Exact sums of measures by part and level; a row counts once in every part."""

    def __init__(self, names: Sequence[str], grouping: Grouping) -> None:
        """Begin with no rows.

        names: the measures to sum, ROWS besides. A part that lacks one has a sum of 0.
        grouping: gives a batch's rows by level, for each part
        """
        self._names = (ROWS, *names)
        self._grouping = grouping
        self._places: dict[Key, int] = {}
        self._sums = [ExactSums(0) for _ in self._names]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for grouped in self._grouping(batch):
            codes, levels = grouped.codes, grouped.levels
            counts = np.bincount(codes[codes >= 0])
            present = np.flatnonzero(counts).tolist()
            places = np.full(len(levels) + 1, -1, np.int64)  # the last is for codes below zero
            places[present] = self._places_of([(grouped.part, levels[code]) for code in present])
            groups = places[codes]
            self._sums[0].add(counts[present], places[present])  # of ROWS: no loop over ones
            for sums, name in zip(self._sums[1:], self._names[1:], strict=True):
                if name in grouped.measures:
                    sums.add(grouped.measures[name], groups)

    def merge(self, other: bytes) -> None:
        """Add the rows behind another state."""
        keys, arrays = unpacked(other)
        places = self._places_of([(part, level) for part, level in keys])
        for n, sums in enumerate(self._sums):
            sums.merge(ExactSums.from_arrays(*arrays[3 * n : 3 * n + 3]), places)

    def to_bytes(self) -> bytes:
        """Return the state as bytes that ``merge`` reads."""
        arrays = [array for sums in self._sums for array in sums.arrays()]
        return packed(list(self._places), arrays)

    def by_part(self) -> dict[str, dict[str, Totals]]:
        """Return the totals of every level by part; parts and levels in rising order."""
        columns = [sums.totals().tolist() for sums in self._sums]
        result: dict[str, dict[str, Totals]] = {}
        for part, level in sorted(self._places):
            place = self._places[part, level]
            totals = {n: column[place] for n, column in zip(self._names, columns, strict=True)}
            result.setdefault(part, {})[level] = totals
        return result

    def _places_of(self, keys: Sequence[Key]) -> np.ndarray:
        places = [self._places.setdefault(key, len(self._places)) for key in keys]
        for sums in self._sums:
            sums.resize(len(self._places))
        return np.array(places, np.int64)


def whole(batch: pa.RecordBatch, part: str, measures: Mapping[str, np.ndarray]) -> Grouped:
    """Return a part of one level that all rows are in."""
    return Grouped(part, [""], np.zeros(batch.num_rows, np.int64), measures)


def sums_of(
    rows: RowSource, columns: Sequence[str], names: Sequence[str], grouping: Grouping
) -> dict[str, dict[str, Totals]]:
    """Return the totals of all rows by part and level; ``grouping`` reads these columns."""
    state = rows.aggregate(columns, lambda: KeyedSums(names, grouping))
    return state.by_part()
