"""Evaluate a GLM on rows held in this process, in stripes of rows with one thread each."""

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
    LevelSums,
    equations_of,
    level_sums_of,
    likelihood_of,
    with_full_gram,
)
from kyros_spark.fitting.family import Family

STRIPES = 8
STRIPE_CELLS = 1 << 24  # cells of X'WX, all stripes together

T = TypeVar("T", Equations, float, LevelSums)


class LocalRows:
    """Rows as one set of arrays, divided into stripes.

    The stripes depend on the numbers of rows and columns alone, and their sums are added in order
    whatever the threads do. The same rows in the same order therefore give the same sums to the
    last bit on any machine.
    """

    def __init__(self, block: Block, layout: Layout) -> None:
        """Divide the rows of a design with this layout into stripes."""
        self.layout, self.block = layout, block
        self.count = block.label.size
        count = max(1, min(STRIPES, STRIPE_CELLS // max(len(layout.columns), 1) ** 2))
        cuts = np.linspace(0, self.count, count + 1).astype(int)
        self._stripes = [
            Block(*(values[first:last] for values in vars(block).values()))
            for first, last in itertools.pairwise(cuts)
        ]

    def equations(self, family: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients, float64[p]."""
        equations = self._sum(lambda part: equations_of(part, self.layout, family, coefficients))
        return with_full_gram(equations, self.layout)

    def likelihood(self, family: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood at these coefficients, float64[p]."""
        return self._sum(
            lambda part: likelihood_of(part, self.layout, family, coefficients, dispersion)
        )

    def level_sums(self, family: Family) -> LevelSums:
        """Return the totals of each column's rows."""
        return self._sum(lambda part: level_sums_of(part, self.layout, family))

    def _sum(self, evaluate: Callable[[Block], T]) -> T:
        first = evaluate(self._stripes[0])  # compiles the kernels in one thread
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            return functools.reduce(operator.add, threads.map(evaluate, self._stripes[1:]), first)
