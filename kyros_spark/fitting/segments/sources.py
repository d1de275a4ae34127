"""Bring a model's rows together by segment, here or on the executors, and hand out batches.

A batch holds many segments: whatever is asked of the rows, the cost per segment is that of a loop
in a kernel. On the executors rows are partitioned by ranges of a hash of the coarsest key, so that
one key's rows are neighbours and partitions are alike in size; sorted, each stream of Arrow batches
is cut between segments.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark import profiler
from kyros_spark.aggregates.batches import with_columns
from kyros_spark.aggregates.packed import packed, unpacked
from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.glm_rows import design_batch
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.fitting.segments.columns import SegmentColumns, SegmentRows
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.model.segments import coarser, key_strides
from kyros_spark.scoring.arrow_features import encoded
from kyros_spark.spark.persisted import persisted
from kyros_spark.spark.session import task_slots

SEGMENT = "_segment"
BATCH_ROWS = 131_072  # of a batch of whole segments
PARTITION_ROWS = 1_000_000
REPORT_AFTER = 5.0  # s, between two lines of progress

# What is asked of a batch: of the segments' numbers, int64[S], and their rows; arrays of S each.
Work = Callable[[np.ndarray, SegmentRows], Sequence[np.ndarray]]


class SegmentSource(Protocol):
    """Rows by segment, at each level of `by`."""

    def map(self, kept: int, work: Work) -> list[np.ndarray]:
        """Return the numbers of the segments of `kept` keys, rising, and the work's arrays."""


class LocalSegments:
    """Rows in this process, sorted by segment; one thread per core takes batches of them."""

    def __init__(self, keys: np.ndarray, rows: SegmentRows, strides: np.ndarray) -> None:
        """Sort the rows. keys: int64[n], their segments' numbers."""
        self._strides = strides
        if (keys[1:] < keys[:-1]).any():
            # Of so few numbers, digit by digit: a tenth of the time.
            order = np.argsort(
                keys.astype(np.uint16) if keys.max() < 1 << 16 else keys, kind="stable"
            )
            keys, rows = keys[order], rows.ordered(order, rows.begins)
        self._keys, self._rows = keys, rows

    def map(self, kept: int, work: Work) -> list[np.ndarray]:
        """Return the numbers of the segments of `kept` keys, rising, and the work's arrays."""
        numbers, begins = _groups(coarser(self._keys, self._strides, kept))
        rows = replace(self._rows, begins=begins)
        cuts = [0, *_cuts(begins, BATCH_ROWS // 4), numbers.size]
        spans = [(a, b) for a, b in pairwise(cuts) if a < b]
        if not spans:
            return [numbers, *work(numbers, rows)]
        tell = _Progress(numbers.size)

        def done(span: tuple[int, int]) -> list[np.ndarray]:
            part = list(work(numbers[slice(*span)], rows.part(*span)))
            tell.add(span[1] - span[0])
            return part

        # The least compiles the kernels in one thread. The largest go first: whoever begins with
        # a segment of half of the rows ends when the others have done the rest.
        by_size = sorted(spans, key=lambda span: begins[span[1]] - begins[span[0]])
        parts = {by_size[0]: done(by_size[0])}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            falling = by_size[:0:-1]
            parts |= zip(falling, threads.map(done, falling), strict=True)
        arrays_of = zip(*(parts[span] for span in spans), strict=True)
        return [numbers, *map(np.concatenate, arrays_of)]


class SparkSegments:
    """Rows of a frame, partitioned by ranges of the hash of their coarsest key, and sorted."""

    def __init__(self, columns: SegmentColumns, frame: DataFrame, strides: np.ndarray) -> None:
        """Take a frame whose partitions hold whole coarsest segments, sorted by SEGMENT."""
        self._columns, self._frame, self._strides = columns, frame, strides

    def map(self, kept: int, work: Work) -> list[np.ndarray]:
        """Return the numbers of the segments of `kept` keys, rising, and the work's arrays."""
        columns, strides = self._columns, self._strides

        def done(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            with profiler.profiled("train-worker"):
                for table in _whole_segments(batches, strides):
                    keys = table.column(SEGMENT).to_numpy()
                    numbers, begins = _groups(coarser(keys, strides, kept))
                    block = columns.layout.block(*_arrays(table, columns.layout))
                    arrays = [numbers, *work(numbers, columns.rows(block, begins))]
                    data = packed([], [np.ascontiguousarray(a) for a in arrays])
                    yield pa.RecordBatch.from_arrays([pa.array([data], pa.binary())], ["arrays"])

        tell = _Progress(None)
        parts = []
        for row in self._frame.mapInArrow(done, "arrays binary").collect():
            arrays = unpacked(bytes(row["arrays"]))[1]
            tell.add(arrays[0].size)
            parts.append(arrays)
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        order = np.argsort(joined[0], kind="stable")
        return [array[order] for array in joined]


@contextmanager
def segment_source(
    rows: RowSource, layout: Layout, features: Sequence[Feature], keys: Sequence[Feature],
    columns: SegmentColumns, pooled: SegmentRows | None,
) -> Iterator[SegmentSource]:  # fmt: skip
    """Encode the rows as scoring does, and hold them by segment until the fits are done.

    pooled: the same rows in the same order, where they are in this process
    """
    strides = key_strides(keys)
    if isinstance(rows, DriverRows):
        assert pooled is not None, "the pooled fit holds these rows: see fitting/glm.py"

        def numbered(batch: pa.RecordBatch) -> pa.RecordBatch:
            return with_columns(batch, (), {SEGMENT: _numbers(batch, keys, strides)})

        numbers = rows.changed([key.name for key in keys], numbered).table.column(SEGMENT)
        yield LocalSegments(numbers.to_numpy(), pooled, strides)
        return
    names = list(dict.fromkeys([f.name for f in (*features, *keys)]))

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        design = design_batch(batch, features)
        return with_columns(design, design.schema.names, {SEGMENT: _numbers(batch, keys, strides)})

    design = rows.changed([*names, LABEL, WEIGHT, OFFSET], change)
    assert isinstance(design, ExecutorRows)
    with persisted(design.as_frame()) as stored:
        parts = max(2, -(-stored.count() // PARTITION_ROWS), 2 * task_slots(stored.sparkSession))
        by_range = stored.repartitionByRange(parts, _range_of(stored, int(strides[0])))
        with persisted(by_range.sortWithinPartitions(SEGMENT)) as by_segment:
            yield SparkSegments(columns, by_segment, strides)


def _range_of(stored: DataFrame, stride: int) -> Column:
    """Return what rows are partitioned by: a hash of the coarsest key, the most frequent first.

    Its partition may hold half of the rows, and has to begin with the others, not behind them.
    """
    key = F.expr(f"{SEGMENT} DIV {stride}L")
    largest = stored.groupBy(key.alias("key")).count().orderBy(F.desc("count")).first()
    if largest is None:
        return F.xxhash64(key)
    return F.when(key == largest["key"], F.lit(-(1 << 63))).otherwise(F.xxhash64(key))


def _numbers(batch: pa.RecordBatch, keys: Sequence[Feature], strides: np.ndarray) -> np.ndarray:
    """Return the number of each row's segment, int64[n]."""
    numbers = np.zeros(batch.num_rows, np.int64)
    for key, stride in zip(keys, strides, strict=True):
        numbers += encoded(key, batch.column(key.name), impute=True).astype(np.int64) * stride
    return numbers


def _arrays(rows: pa.Table, layout: Layout) -> list[np.ndarray]:
    """Return codes, numbers, label, weight and offset as `Layout.block` takes them."""
    codes = np.empty((rows.num_rows, len(layout.factors)), np.int32)
    numbers = np.empty((rows.num_rows, len(layout.numbers)))
    for n, name in enumerate(layout.factors):
        codes[:, n] = rows.column(name).to_numpy()
    for n, name in enumerate(layout.numbers):
        numbers[:, n] = rows.column(name).to_numpy()
    return [codes, numbers, *(rows.column(name).to_numpy() for name in (LABEL, WEIGHT, OFFSET))]


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different numbers of sorted rows, int64[S], and where they begin, int64[S + 1]."""
    is_first = np.ones(keys.size, bool)
    is_first[1:] = keys[1:] != keys[:-1]
    begins = np.append(np.flatnonzero(is_first), keys.size)
    return keys[begins[:-1]], begins


def _cuts(begins: np.ndarray, rows: int) -> list[int]:
    """Return where segments are cut into batches of about so many rows, rising."""
    wanted = np.arange(rows, begins[-1], rows)
    return np.unique(np.searchsorted(begins, wanted)).tolist() if wanted.size else []


def _whole_segments(batches: Iterable[pa.RecordBatch], strides: np.ndarray) -> Iterator[pa.Table]:
    """Yield tables of whole coarsest segments, of BATCH_ROWS and more but for the last."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        if sum(part.num_rows for part in held) < BATCH_ROWS:
            continue
        table = pa.Table.from_batches(held)
        coarse = coarser(table.column(SEGMENT).to_numpy(), strides, 1)
        cut = int(np.searchsorted(coarse, coarse[-1]))
        if cut:
            yield table.slice(0, cut)
            held = table.slice(cut).to_batches()
    if held:
        yield pa.Table.from_batches(held)


class _Progress:
    """Tells now and then how many segments are done, at what rate, and what is left."""

    def __init__(self, total: int | None) -> None:
        self._total, self._done = total, 0
        self._began = self._last = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < REPORT_AFTER:
            return
        self._last = now
        rate = self._done / (now - self._began)
        if self._total is None:
            event(f"segments: {self._done} done, {rate:.0f} a second")
        else:
            left = (self._total - self._done) / rate
            event(
                f"segments: {self._done} of {self._total}, {rate:.0f} a second, {left:.0f} s left"
            )
