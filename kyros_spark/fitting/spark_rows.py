"""Evaluate a GLM on the rows of a DataFrame with one pass over Arrow batches, or collect the rows.

Workers send only sums, which the driver adds in the order of the partitions. Another partitioning
changes the order of additions and hence the last digits, never more (tests allow 1e-10).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark import profiler
from kyros_spark.fitting.design import Block, Layout
from kyros_spark.fitting.equations import (
    ENDS,
    Equations,
    LevelSums,
    equations_of,
    level_sums_of,
    likelihood_of,
    with_full_gram,
)
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT

RESULT_BYTES = 512 << 20  # X'WX of all partitions together, on the driver

T = TypeVar("T")


class SparkRows:
    """Rows of a DataFrame with a level code per factor, the numbers, label, weight and offset."""

    def __init__(self, frame: DataFrame, layout: Layout, count: int) -> None:
        """Wrap the rows of a frame, the layout of their design, and the number of the rows."""
        self.layout = layout
        self.count = count
        self._frame = frame
        size = len(layout.columns)
        self._most_parts = max(1, RESULT_BYTES // (8 * size * size + 1))

    def equations(self, family: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients, float64[p]."""
        layout = self.layout

        def evaluate(block: Block) -> Equations:
            return equations_of(block, layout, family, coefficients)

        size = len(layout.columns)
        parts = [
            Equations(values[: size * size].reshape(size, size), values[size * size : -2],
                      float(values[-2]), float(values[-1]))
            for values in self._pass(evaluate, _equations_as_numbers)
        ]  # fmt: skip
        return with_full_gram(functools.reduce(operator.add, parts), layout)

    def likelihood(self, family: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood at these coefficients, float64[p]."""
        layout = self.layout

        def evaluate(block: Block) -> float:
            return likelihood_of(block, layout, family, coefficients, dispersion)

        parts = self._pass(evaluate, lambda likelihood: np.array([likelihood]))
        return float(sum(values[0] for values in parts))

    def level_sums(self, family: Family) -> LevelSums:
        """Return the totals of each column's rows."""
        layout = self.layout
        size, numbers = len(layout.columns), len(layout.numbers)

        def evaluate(block: Block) -> LevelSums:
            return level_sums_of(block, layout, family)

        faults = list(level_sums_of(_empty(layout), layout, family).faults)
        cuts = [size, 2 * size, 3 * size, 3 * size + 1, 3 * size + 1 + ENDS * numbers]
        parts = []
        for values in self._pass(evaluate, _sums_as_numbers):
            rows, exposure, observed, weight, ends, counts = np.split(values, cuts)
            by_fault = dict(zip(faults, map(int, counts), strict=True))
            ends = ends.reshape(numbers, ENDS)
            parts.append(LevelSums(rows, exposure, observed, float(weight[0]), ends, by_fault))
        return functools.reduce(operator.add, parts)

    def collected(self) -> Block:
        """Return all rows as one set of arrays in this process."""
        layout = self.layout

        def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                if batch.num_rows:
                    block = _block(batch, layout)
                    packed = [pa.array([values.tobytes()]) for values in vars(block).values()]
                    yield pa.RecordBatch.from_arrays(packed, list(vars(block)))

        kinds = (np.int32, *[np.float64] * 4)
        rows = self._frame.mapInArrow(
            pack, "places binary, numbers binary, label binary, weight binary, offset binary"
        ).collect()
        arrays = [
            np.concatenate([np.frombuffer(row[n], kind) for row in rows])
            for n, kind in enumerate(kinds)
        ]
        count = arrays[2].size
        return Block(arrays[0].reshape(count, len(layout.factors)),
                     arrays[1].reshape(count, len(layout.numbers)), *arrays[2:])  # fmt: skip

    def _pass(
        self, evaluate: Callable[[Block], T], as_numbers: Callable[[T], np.ndarray]
    ) -> list[np.ndarray]:
        """Return one float64 array per partition that has rows, in the order of the partitions."""
        layout = self.layout

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            total: Any = None
            with profiler.profiled("train-worker"):
                for batch in batches:
                    if batch.num_rows:
                        part = evaluate(_block(batch, layout))
                        total = part if total is None else total + part
            if total is not None:
                packed = pa.array([as_numbers(total).tobytes()])
                yield pa.RecordBatch.from_arrays([packed], ["sums"])

        frame = self._frame.coalesce(self._most_parts)
        rows = frame.mapInArrow(work, "sums binary").collect()
        return [np.frombuffer(row["sums"], np.float64) for row in rows]


def _block(batch: pa.RecordBatch, layout: Layout) -> Block:
    def columns(names: tuple[str, ...], kind: type) -> np.ndarray:
        values = np.empty((batch.num_rows, len(names)), kind)
        for k, name in enumerate(names):
            values[:, k] = batch.column(name).to_numpy(zero_copy_only=False)
        return values

    vectors = columns((LABEL, WEIGHT, OFFSET), np.float64)
    codes, numbers = columns(layout.factors, np.int32), columns(layout.numbers, np.float64)
    return layout.block(codes, numbers, *vectors.T)


def _empty(layout: Layout) -> Block:
    empty = np.empty(0)
    codes = np.empty((0, len(layout.factors)), np.int32)
    return layout.block(codes, np.empty((0, len(layout.numbers))), empty, empty, empty)


def _equations_as_numbers(part: Equations) -> np.ndarray:
    """Return float64[p * p + p + 2]: X'WX, X'score, deviance and Pearson's chi-square."""
    return np.concatenate([part.gram.ravel(), part.gradient, [part.deviance, part.pearson]])


def _sums_as_numbers(part: LevelSums) -> np.ndarray:
    """Return float64[3 * p + 1 + ENDS * numbers + faults].

    They are rows, exposure, observed, weight, ends and fault counts.
    """
    faults = list(part.faults.values())
    sums = (part.rows, part.exposure, part.observed, [part.weight], part.ends.ravel(), faults)
    return np.concatenate(sums)
