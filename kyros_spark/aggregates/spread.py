"""Compute weighted quantiles and order statistics from cells, refined where they are too heavy.

With at most `cells.LIMIT` different values all are kept, and every quantile is exact. With more,
passes over the rows look into the heavy cells until each cell holds one value or at most 1 / STEPS
of the weight: a cut then lies within 0.1% of the weight of its exact position, at a value of the
data, and the weight below it is exact. An order statistic is always exact: its cell is looked into
until it holds one value. Each pass splits a heavy cell at least in four, and in practice far more:
two or three passes suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kyros_spark.aggregates.cells import Cells, Ranges, Weighed
from kyros_spark.aggregates.rows import RowSource

STEPS = 1000


@dataclass(frozen=True)
class Spread:
    """How weight is distributed over a number's values.

    values: values of the data, in rising order. below: the weight of the rows with smaller numbers.
    total: the weight of all rows with a number.
    """

    values: tuple[float, ...]
    below: tuple[float, ...]
    total: float

    def cuts(self, groups: int) -> tuple[float, ...]:
        """Return the inner cut points of groups of similar weight, fewer where values are tied.

        Each is the value below which the share of the weight comes nearest to k / groups. The least
        value would cut nothing off and is left out, and no value cuts twice: no group is empty.
        """
        below = np.array(self.below)
        nearest = {int(np.abs(below - self.total * k / groups).argmin()) for k in range(1, groups)}
        return tuple(self.values[n] for n in sorted(nearest - {0}))

    def median(self) -> float:
        """Return the least value up to which half of the weight lies."""
        above = [n for n, below in enumerate(self.below) if below >= self.total / 2]
        return self.values[above[0] - 1 if above else -1]


@dataclass(frozen=True)
class _Pieces:
    """Cells in rising order: the ordered bits of their ends, uint64, and their weight, float64."""

    least: np.ndarray
    most: np.ndarray
    weight: np.ndarray

    def refined(self, heavy: np.ndarray, finer: _Pieces) -> _Pieces:
        """Return the cells with finer ones in place of the heavy ones (bool[cells])."""
        parts = [
            np.concatenate([old[~heavy], new])
            for old, new in zip(vars(self).values(), vars(finer).values(), strict=True)
        ]
        order = np.argsort(parts[0], kind="stable")
        return _Pieces(*(part[order] for part in parts))


def spreads(
    rows: RowSource, columns: Sequence[str], names: Sequence[str], weighed: Weighed
) -> dict[str, Spread]:
    """Return the spread of each named number; numbers without a finite value are left out.

    columns: those that ``weighed`` reads
    """

    def heavy(pieces: _Pieces) -> np.ndarray:
        return pieces.weight > pieces.weight.sum() / STEPS

    result = {}
    for name, pieces in _pieces(rows, columns, names, weighed, heavy).items():
        values, total = doubles(pieces.least), float(pieces.weight.sum())
        below = np.concatenate([[0.0], np.cumsum(pieces.weight)])[: values.size]
        finite = np.isfinite(values)
        if finite.any():
            result[name] = Spread(
                tuple(values[finite].tolist()), tuple(below[finite].tolist()), total
            )
    return result


def order_statistics(
    rows: RowSource, columns: Sequence[str], name: str, weighed: Weighed, ranks: Sequence[int]
) -> list[float]:
    """Return the values of these ranks, counted from 1; each row's weight has to be 1."""

    def heavy(pieces: _Pieces) -> np.ndarray:
        chosen = np.zeros(pieces.weight.size, bool)
        chosen[_places(pieces, ranks)] = True
        return chosen

    pieces = _pieces(rows, columns, [name], weighed, heavy)[name]
    return [float(value) for value in doubles(pieces.least[_places(pieces, ranks)])]


def doubles(bits: np.ndarray) -> np.ndarray:
    """Return the doubles whose ordered bits (`kernels/find_cells.py`) these are, uint64[n]."""
    sign = np.uint64(1 << 63)
    values: np.ndarray = np.where(bits & sign != 0, bits ^ sign, ~bits).view(np.float64)
    return values


def _places(pieces: _Pieces, ranks: Sequence[int]) -> np.ndarray:
    return np.searchsorted(np.cumsum(pieces.weight), np.array(ranks, np.float64), "left")


def _pieces(
    rows: RowSource,
    columns: Sequence[str],
    names: Sequence[str],
    weighed: Weighed,
    heavy: Callable[[_Pieces], np.ndarray],
) -> dict[str, _Pieces]:
    """Return each number's cells, none of which is heavy and holds more than one value."""
    if not names:
        return {}
    pieces = _pass(rows, columns, weighed, dict.fromkeys(names))
    while True:
        refine = {n: heavy(p) & (p.least < p.most) for n, p in pieces.items()}
        ranges: dict[str, Ranges | None] = {
            name: (pieces[name].least[chosen], pieces[name].most[chosen])
            for name, chosen in refine.items()
            if chosen.any()
        }
        if not ranges:
            return pieces
        finer = _pass(rows, columns, weighed, ranges)
        pieces |= {name: pieces[name].refined(refine[name], finer[name]) for name in ranges}


def _pass(
    rows: RowSource, columns: Sequence[str], weighed: Weighed, ranges: Mapping[str, Ranges | None]
) -> dict[str, _Pieces]:
    cells = rows.aggregate(columns, lambda: Cells(weighed, ranges))
    return {n: _Pieces(t.least, t.most, t.weight.totals()) for n, t in cells.tables.items()}
