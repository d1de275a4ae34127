"""Evaluate a GLM on rows held in this process, in stripes of rows, a thread each."""

from __future__ import annotations

import functools
import itertools
import operator
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from kyros_spark.fitting.design import Block, Layout
from kyros_spark.fitting.equations import (
    Equations,
    Family,
    LevelSums,
    equations_of,
    level_sums_of,
    likelihood_of,
    whole,
)

STRIPES = 8
STRIPE_CELLS = 1 << 24  # of all stripes' X'WX together

T = TypeVar("T", Equations, float, LevelSums)


class LocalRows:
    """Rows as one set of arrays. Sums are taken stripe by stripe, in order, whatever the threads.

    The stripes follow from the number of rows and columns alone, so the same rows in the same
    order give the same sums to the last bit on any machine.
    """

    def __init__(self, block: Block, layout: Layout) -> None:
        """Take the rows and the layout of their design."""
        self.layout = layout
        self.count = block.label.size
        count = max(1, min(STRIPES, STRIPE_CELLS // max(len(layout.columns), 1) ** 2))
        cuts = np.linspace(0, self.count, count + 1).astype(int)
        self._stripes = [
            Block(*(values[first:last] for values in vars(block).values()))
            for first, last in itertools.pairwise(cuts)
        ]

    def equations(self, law: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients."""
        found = self._sum(lambda part: equations_of(part, self.layout, law, coefficients))
        return whole(found, self.layout)

    def likelihood(self, law: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood."""
        return self._sum(
            lambda part: likelihood_of(part, self.layout, law, coefficients, dispersion)
        )

    def level_sums(self, law: Family) -> LevelSums:
        """Return what each column's rows hold."""
        return self._sum(lambda part: level_sums_of(part, self.layout, law))

    def _sum(self, of: Callable[[Block], T]) -> T:
        first = of(self._stripes[0])  # compiles, in one thread
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            return functools.reduce(operator.add, threads.map(of, self._stripes[1:]), first)
