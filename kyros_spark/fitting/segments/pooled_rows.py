"""Evaluate the pooled GLM, the parent of all segments, by the kernels that fit segments."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from kyros_spark.fitting.design import Block, Layout
from kyros_spark.fitting.equations import Equations, likelihood_at
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.fitting.segments.columns import SegmentRows, columns_of, law_of
from kyros_spark.fitting.segments.kernel_calls import cells_of, joined, sums_at
from kyros_spark.kernels import cell_terms


class PooledRows(LocalRows):
    """Rows in this process, as the kernels of segments take them.

    Their products come in tiles of dense columns, and rows of equal levels are one cell: a pass
    costs a fifth of LocalRows'. The deviance is the difference of two sums, as a segment's is.
    """

    def __init__(self, block: Block, layout: Layout, dense: np.ndarray | None = None) -> None:
        """Lay out the rows of a design.

        dense: see `SegmentColumns.rows`
        """
        super().__init__(block, layout)
        self.columns = columns_of(layout)
        self.rows = self.columns.rows(block, np.array([0, self.count]), dense)
        self._law = np.zeros(0)

    def equations(self, family: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients, float64[p]."""
        self._use(law_of(family))
        size, position = self.columns.size, self.columns.position
        at = self.columns.inwards(coefficients[None])[0]
        cuts = np.linspace(0, self._cells.label.size, len(self._stripes) + 1).astype(int)

        def evaluated(span: tuple[int, int]) -> tuple[bool, np.ndarray, np.ndarray, np.ndarray]:
            return sums_at(self._cells, self._sums, span, self._law, at)

        first, *others = itertools.pairwise(cuts.tolist())
        parts = [evaluated(first)]  # compiles the kernel in one thread
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            parts += threads.map(evaluated, others)
        gram, gradient, sums = np.zeros((size, size)), np.zeros(size), np.zeros(3)
        for _, *arrays in parts:
            for total, part in zip((gram, gradient, sums), arrays, strict=True):
                total += part
        full = (np.triu(gram) + np.triu(gram, 1).T)[np.ix_(position, position)]
        is_sound = all(sound for sound, *_ in parts)
        deviance = max(2.0 * (sums[0] + self._constant), 0.0) if is_sound else np.inf
        return Equations(full, gradient[position], float(deviance), float(max(sums[1], 0.0)))

    def likelihood(self, family: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood at these coefficients, float64[p]."""
        rows, at = self.rows, self.columns.inwards(coefficients[None])[0]
        eta = rows.dense @ at[: self.columns.width]
        eta += rows.offset
        for factor in rows.places.T:
            eta += at[factor]
        return likelihood_at(rows.label, rows.weight, eta, family, dispersion)

    def by_own_solver(self) -> LocalRows:
        """Return the same rows for the slower kernels."""
        numbers = np.ascontiguousarray(self.block.numbers)
        return LocalRows(replace(self.block, numbers=numbers), self.layout)

    def _use(self, law: np.ndarray) -> None:
        """Make the cells of a law, unless they are there: a profiled parameter changes it."""
        if np.array_equal(law, self._law):
            return
        cells, constant = cells_of(self.rows, law)
        places, dense = self.rows.places, self.rows.dense
        if law[0] != cell_terms.NEGATIVE_BINOMIAL:
            places, dense, cells, _ = joined(self.rows, cells, self.columns)
        self._law, self._constant, self._sums = law, float(constant[0]), cells
        rows, some = self.rows, slice(len(cells))
        self._cells = SegmentRows(
            places,
            dense,
            rows.label[some],
            rows.weight[some],
            rows.offset[some],
            np.array([0, len(cells)]),
        )
