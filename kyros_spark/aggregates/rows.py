"""Hold rows where their sums are computed: in this process as Arrow, or on the executors.

Both kinds of rows run the same states. Rows are held here if the caller knows that there are few
(`spark.local_rows`): Spark is asked for them once, as Arrow, and each further sum is a loop over
arrays. On the executors each sum is one pass by mapInArrow, whose partial states the driver merges
in the order of the partitions.

Rows are changed by functions of a batch, which have to treat each row by itself: the same function
runs here or there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol, cast

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from kyros_spark import profiler
from kyros_spark.aggregates.state import AnyState, State
from kyros_spark.spark.arrow_frames import arrow_of
from kyros_spark.spark.persisted import persisted
from kyros_spark.tables.ddl import quoted

BATCH_ROWS = 65_536  # of local rows: arrays of a column stay in the processor's cache

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


class RowSource(Protocol):
    """Rows with named columns, and the sums over them."""

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows; ``new_state`` makes one of no rows."""

    def changed(self, columns: Sequence[str], change: Change) -> RowSource:
        """Return the rows that ``change`` makes of these columns."""


class DriverRows:
    """Rows in this process."""

    def __init__(self, table: pa.Table) -> None:
        """Take the rows."""
        self.table = table

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows."""
        state = new_state()
        for batch in self._batches(columns):
            state.add(batch)
        return state

    def aggregate_exactly(
        self, columns: Sequence[str], new_state: Callable[[], AnyState]
    ) -> AnyState:
        """Return the state of all rows, by threads: of sums that no order changes, the same."""
        rows, count = self.table.select(list(columns)), self.table.num_rows
        size = max(BATCH_ROWS, -(-count // (4 * len(os.sched_getaffinity(0)))))
        parts = [partial(rows.slice, first, size) for first in range(0, count, size)]
        return in_threads(parts, new_state)

    def changed(self, columns: Sequence[str], change: Change) -> DriverRows:
        """Return the rows that ``change`` makes of these columns: at once."""
        batches = [change(batch) for batch in self._batches(columns)]
        if not batches:
            schema = pa.schema([self.table.schema.field(name) for name in columns])
            nothing = [pa.array([], field.type) for field in schema]
            batches = [change(pa.RecordBatch.from_arrays(nothing, schema=schema))]
        return DriverRows(pa.Table.from_batches(batches))

    def _batches(self, columns: Sequence[str]) -> list[pa.RecordBatch]:
        batches = self.table.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS)
        return [batch for batch in batches if batch.num_rows]


def in_threads(
    parts: Sequence[Callable[[], pa.Table]], new_state: Callable[[], AnyState]
) -> AnyState:
    """Return the state of parts of rows, each added up by a thread and merged in their order."""
    state = new_state()
    if not parts:
        return state
    first = parts[0]()
    _add(state, first.slice(0, BATCH_ROWS))  # compiles the kernels in one thread

    def summed(part: Callable[[], pa.Table]) -> bytes:
        own = new_state()
        _add(own, part())
        return own.to_bytes()

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for part in threads.map(summed, [lambda: first.slice(BATCH_ROWS), *parts[1:]]):
            state.merge(part)
    return state


def _add(state: State, rows: pa.Table) -> None:
    for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
        if batch.num_rows:
            state.add(batch)


class ExecutorRows:
    """Rows of a DataFrame, on the executors."""

    def __init__(self, frame: DataFrame, changes: Sequence[Change] = ()) -> None:
        """Take the frame and the changes to its batches.

        Both are computed once per sum, so persist what is expensive.
        """
        self.frame = frame
        self._changes = tuple(changes)

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows: one pass, with one partial state per partition."""
        changed = self._changing()

        def partial(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            state = new_state()
            with profiler.profiled("sums-worker"):
                for batch in batches:
                    if batch.num_rows:
                        state.add(changed(batch).select(list(columns)))
            yield pa.RecordBatch.from_arrays([pa.array([state.to_bytes()])], ["state"])

        total = new_state()
        rows = self._selected(columns).mapInArrow(partial, "state binary")
        for row in rows.collect():
            total.merge(bytes(row["state"]))
        return total

    def changed(self, columns: Sequence[str], change: Change) -> ExecutorRows:
        """Return the rows that ``change`` makes of these columns, whenever they are read."""
        return ExecutorRows(self._selected(columns), (*self._changes, change))

    def as_frame(self) -> DataFrame:
        """Return the rows as a frame."""
        if not self._changes:
            return self.frame
        changed = self._changing()
        given = to_arrow_schema(self.frame.schema)
        nothing = [pa.array([], field.type) for field in given]
        schema = changed(pa.RecordBatch.from_arrays(nothing, schema=given)).schema

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                if batch.num_rows:
                    yield changed(batch)

        return self.frame.mapInArrow(work, from_arrow_schema(schema))

    def _selected(self, columns: Sequence[str]) -> DataFrame:
        """Return the frame with these columns alone; changes need all of its columns."""
        return self.frame if self._changes else self.frame.select(*map(quoted, columns))

    def _changing(self) -> Change:
        changes = self._changes

        def changed(batch: pa.RecordBatch) -> pa.RecordBatch:
            for change in changes:
                batch = change(batch)
            return batch

        return changed


@contextmanager
def held(rows: RowSource) -> Iterator[RowSource]:
    """Compute changed rows once for the block."""
    if isinstance(rows, ExecutorRows):
        with persisted(rows.as_frame()) as frame:
            yield ExecutorRows(frame)
    else:
        yield rows


def rows_of(rows: RowSource | DataFrame) -> RowSource:
    """Return a DataFrame's rows as those of the executors; rows of either kind as they are."""
    if isinstance(rows, DriverRows | ExecutorRows):
        return rows
    return ExecutorRows(cast(DataFrame, rows))


def collected(frame: DataFrame, rows: int = 0) -> DriverRows:
    """Return all rows of a frame as Arrow in this process.

    rows: about how many; 0 where few. The caller sees to it that they fit: see `spark.local_rows`.
    Texts are held as codes.
    """
    return in_process(arrow_of(frame, rows))


def in_process(table: pa.Table, key: Sequence[str] = ()) -> DriverRows:
    """Return rows that were read already. Texts are held as codes, a column as one array.

    Spark and Parquet's readers hand over small batches, and each costs a pass its overhead again.
    key: columns whose texts stay as they are, since nearly every row has another.
    """
    for n, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text and name not in key:
            column = column.dictionary_encode().unify_dictionaries()
        table = table.set_column(n, name, column.combine_chunks())
    return DriverRows(table)
