"""Hold rows where their sums are computed: in this process as Arrow, or on the executors.

Both kinds of rows run the same states. Rows are held here if the caller knows that there are few
(`spark.local_rows`): Spark is asked for them once, as Arrow, and each further sum is a loop over
arrays. On the executors each sum is one pass by mapInArrow, whose partial states the driver merges
in the order of the partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.state import AnyState
from kyros_spark.spark_version import has_to_arrow

BATCH_ROWS = 65_536  # of local rows: arrays of a column stay in the processor's cache


class RowSource(Protocol):
    """Rows with named columns, and the sums over them."""

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows; ``new_state`` makes one of no rows."""


class DriverRows:
    """Rows in this process."""

    def __init__(self, table: pa.Table) -> None:
        """Take the rows."""
        self.table = table

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows."""
        state = new_state()
        for batch in self.table.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS):
            state.add(batch)
        return state


class ExecutorRows:
    """Rows of a DataFrame, on the executors."""

    def __init__(self, frame: DataFrame) -> None:
        """Take the frame; it is computed once per sum, so persist what is expensive."""
        self.frame = frame

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows: one pass, with one partial state per partition."""

        def partial(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            state = new_state()
            for batch in batches:
                state.add(batch)
            yield pa.RecordBatch.from_arrays([pa.array([state.to_bytes()])], ["state"])

        total = new_state()
        for row in self.frame.select(*columns).mapInArrow(partial, "state binary").collect():
            total.merge(bytes(row["state"]))
        return total


def collected(frame: DataFrame) -> DriverRows:
    """Return all rows of a frame as Arrow in this process: one execution of Spark.

    The caller sees to it that they fit: see `spark.local_rows`.
    """
    if has_to_arrow(frame.sparkSession.version):
        return DriverRows(frame.toArrow())
    return DriverRows(pa.Table.from_pandas(frame.toPandas(), preserve_index=False))
