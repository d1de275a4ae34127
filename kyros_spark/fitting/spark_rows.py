"""Evaluate a GLM on rows of a DataFrame: a pass over Arrow batches each, or collect them.

Workers send sums only; the driver adds them in the order of the partitions. Another partitioning
changes the order of additions, and so the last digits, never more (tests hold 1e-10).
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
    Equations,
    Family,
    LevelSums,
    equations_of,
    level_sums_of,
    likelihood_of,
    whole,
)
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT

RESULT_BYTES = 512 << 20  # of all partitions' X'WX together, on the driver

T = TypeVar("T")


class SparkRows:
    """Rows of a DataFrame that holds a code a factor, the numbers, label, weight and offset."""

    def __init__(self, frame: DataFrame, layout: Layout, count: int) -> None:
        """Take the rows, the layout of their design, and how many they are."""
        self.layout = layout
        self.count = count
        self._frame = frame
        size = len(layout.columns)
        self._most_parts = max(1, RESULT_BYTES // (8 * size * size + 1))

    def equations(self, law: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients."""
        layout = self.layout

        def of(block: Block) -> Equations:
            return equations_of(block, layout, law, coefficients)

        size = len(layout.columns)
        parts = [
            Equations(values[: size * size].reshape(size, size), values[size * size : -2],
                      float(values[-2]), float(values[-1]))
            for values in self._pass(of, _equations_as_numbers)
        ]  # fmt: skip
        return whole(functools.reduce(operator.add, parts), layout)

    def likelihood(self, law: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood."""
        layout = self.layout

        def of(block: Block) -> float:
            return likelihood_of(block, layout, law, coefficients, dispersion)

        return float(sum(values[0] for values in self._pass(of, lambda one: np.array([one]))))

    def level_sums(self, law: Family) -> LevelSums:
        """Return what each column's rows hold."""
        layout = self.layout
        size = len(layout.columns)

        def of(block: Block) -> LevelSums:
            return level_sums_of(block, layout, law)

        names = list(level_sums_of(_empty(layout), layout, law).faults)
        parts = [
            LevelSums(values[:size], values[size : 2 * size], values[2 * size : 3 * size],
                      float(values[3 * size]),
                      {n: int(c) for n, c in zip(names, values[3 * size + 1 :], strict=True)})
            for values in self._pass(of, _sums_as_numbers)
        ]  # fmt: skip
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
        found = [
            np.concatenate([np.frombuffer(row[n], kind) for row in rows])
            for n, kind in enumerate(kinds)
        ]
        count = found[2].size
        return Block(found[0].reshape(count, len(layout.factors)),
                     found[1].reshape(count, len(layout.numbers)), *found[2:])  # fmt: skip

    def _pass(
        self, of: Callable[[Block], T], as_numbers: Callable[[T], np.ndarray]
    ) -> list[np.ndarray]:
        """Return float64 arrays, one a partition that has rows, in the partitions' order."""
        layout = self.layout

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            total: Any = None
            with profiler.profiled("train-worker"):
                for batch in batches:
                    if batch.num_rows:
                        one = of(_block(batch, layout))
                        total = one if total is None else total + one
            if total is not None:
                told = pa.array([as_numbers(total).tobytes()])
                yield pa.RecordBatch.from_arrays([told], ["told"])

        frame = self._frame.coalesce(self._most_parts)
        rows = frame.mapInArrow(work, "told binary").collect()
        return [np.frombuffer(row["told"], np.float64) for row in rows]


def _block(batch: pa.RecordBatch, layout: Layout) -> Block:
    def columns(names: tuple[str, ...], kind: type) -> np.ndarray:
        found = np.empty((batch.num_rows, len(names)), kind)
        for k, name in enumerate(names):
            found[:, k] = batch.column(name).to_numpy(zero_copy_only=False)
        return found

    ends = columns((LABEL, WEIGHT, OFFSET), np.float64)
    codes, numbers = columns(layout.factors, np.int32), columns(layout.numbers, np.float64)
    return layout.block(codes, numbers, *ends.T)


def _empty(layout: Layout) -> Block:
    nothing = np.empty(0)
    codes = np.empty((0, len(layout.factors)), np.int32)
    return layout.block(codes, np.empty((0, len(layout.numbers))), nothing, nothing, nothing)


def _equations_as_numbers(one: Equations) -> np.ndarray:
    return np.concatenate([one.gram.ravel(), one.gradient, [one.deviance, one.pearson]])


def _sums_as_numbers(one: LevelSums) -> np.ndarray:
    return np.concatenate(
        [one.rows, one.exposure, one.observed, [one.weight], list(one.faults.values())]
    )
