"""Order a design's columns as the kernels of small fits take them, and hold rows in that order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kyros_spark.fitting.design import Block, Layout
from kyros_spark.fitting.family import Family
from kyros_spark.kernels import cell_terms
from kyros_spark.kernels.dense_products import LANES

MAX_CELLS = 1 << 16  # numbers that rows of equal levels can have, to be joined by a table


@dataclass(frozen=True)
class SegmentColumns:
    """The columns of a layout, dense ones first: q of them.

    position  int64[p]: where each column of the layout is
    width     of the dense part: the constant, the numbers, and zeros up to a multiple of LANES
    """

    layout: Layout
    position: np.ndarray
    width: int

    @property
    def size(self) -> int:
        """Return q."""
        return self.width + int(self.layout.factor_levels.sum())

    @cached_property
    def candidates(self) -> np.ndarray:
        """The columns to solve for, int64[c], in the layout's order: all but base levels."""
        bases = set(self.layout.bases)
        return np.array([self.position[c] for c in range(len(self.position)) if c not in bases])

    @cached_property
    def to_constant(self) -> np.ndarray:
        """The row that turns scaled coefficients into the unscaled constant, float64[q]."""
        return self.inwards(self.layout.unscaled()[:1])[0]

    @cached_property
    def unit(self) -> np.ndarray:
        """Each column's standard deviation in its own unit, float64[q]; 1 for levels."""
        unit = np.ones(self.size)
        unit[self.position[self.layout.number_place]] = self.layout.scale
        return unit

    def inwards(self, values: np.ndarray) -> np.ndarray:
        """Return values by column of the layout, [S, p], in the kernels' order, float64[S, q]."""
        ordered = np.zeros((len(values), self.size))
        ordered[:, self.position] = values
        return ordered

    def outwards(self, values: np.ndarray) -> np.ndarray:
        """Return values in the kernels' order, [S, q], by column of the layout, [S, p]."""
        return np.ascontiguousarray(values[:, self.position])

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return unscaled coefficients of a layout, float64[p], as the kernels take them."""
        layout, scaled = self.layout, values.copy()
        scaled[0] += values[layout.number_place] @ layout.centre
        scaled[layout.number_place] *= layout.scale
        return self.inwards(scaled[None])[0]

    def dense(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the dense columns of so many rows, float64[n, width], and its numbers to fill."""
        dense, last = np.empty((rows, self.width)), 1 + len(self.layout.numbers)
        dense[:, 0], dense[:, last:] = 1.0, 0.0
        return dense, dense[:, 1:last]

    def rows(
        self, block: Block, begins: np.ndarray, dense: np.ndarray | None = None
    ) -> SegmentRows:
        """Return rows that are sorted by segment.

        begins: int64[S + 1]; dense: the dense columns, if the block's numbers are a part of them
        """
        if dense is None:
            dense, numbers = self.dense(block.label.size)
            numbers[:] = block.numbers
        places = self.position.astype(np.int32)[block.places]
        places = np.ascontiguousarray(places, np.int32)
        return SegmentRows(places, dense, block.label, block.weight, block.offset, begins)

    @cached_property
    def strides(self) -> np.ndarray | None:
        """The factors by which places give a row's number, int64[factors]; None if too many."""
        levels = self.layout.factor_levels
        if self.layout.numbers or not levels.size or np.prod(levels.astype(float)) > MAX_CELLS:
            return None
        return np.concatenate([[1], np.cumprod(levels[:-1])]).astype(np.int64)

    @cached_property
    def most_cells(self) -> int:
        """The largest number of `strides`, plus one; places begin at the first level's column."""
        assert self.strides is not None
        last = self.position[self.layout.factor_start] + self.layout.factor_levels - 1
        return int((last * self.strides).sum()) + 1


@dataclass(frozen=True)
class SegmentRows:
    """Rows that are sorted by segment: see kernels/small_fits.py for their shapes."""

    places: np.ndarray
    dense: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    begins: np.ndarray

    @property
    def count(self) -> int:
        """Return the number of segments."""
        return self.begins.size - 1

    def ordered(self, order: np.ndarray, begins: np.ndarray) -> SegmentRows:
        """Return the rows in an order, int64[n], by segment."""
        return SegmentRows(
            self.places.take(order, axis=0),
            self.dense.take(order, axis=0),
            self.label[order],
            self.weight[order],
            self.offset[order],
            begins,
        )

    def part(self, first: int, last: int) -> SegmentRows:
        """Return some of the segments."""
        begin, end = self.begins[first], self.begins[last]
        rows = slice(begin, end)
        return SegmentRows(
            self.places[rows],
            self.dense[rows],
            self.label[rows],
            self.weight[rows],
            self.offset[rows],
            self.begins[first : last + 1] - begin,
        )


def columns_of(layout: Layout) -> SegmentColumns:
    """Return the columns of a layout in the kernels' order."""
    numbers = len(layout.numbers)
    width = -(-(1 + numbers) // LANES) * LANES if numbers else 1
    position = np.zeros(len(layout.columns), np.int64)
    position[layout.number_place] = 1 + np.arange(numbers)
    is_level = np.ones(len(position), bool)
    is_level[0] = is_level[layout.number_place] = False
    position[is_level] = width + np.arange(is_level.sum())
    return SegmentColumns(layout, position, width)


def law_of(family: Family) -> np.ndarray:
    """Return a family as the kernels take it, float64[4]: kind, power, alpha, has a dispersion."""
    if family.is_binomial:
        kind = cell_terms.LOGIT
    elif family.theta is not None:
        kind = cell_terms.NEGATIVE_BINOMIAL
    else:
        kind = cell_terms.LOG if family.link == "log" else cell_terms.IDENTITY
    return np.array([kind, family.power, family.alpha, float(family.has_dispersion)])
