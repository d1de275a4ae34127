"""Read rows that runs wrote: from the files in this process if they fit, else by Spark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial, reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import (
    BATCH_ROWS,
    Change,
    DriverRows,
    ExecutorRows,
    RowSource,
    collected,
    in_process,
    in_threads,
)
from kyros_spark.aggregates.state import AnyState
from kyros_spark.delta.partition_rows import UNREADABLE, PlainTable, plain_table
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.tables.ddl import quoted


class FileRows:
    """Rows of files, which threads read and add up: one file at a time per core is in memory."""

    def __init__(
        self,
        tables: Sequence[tuple[PlainTable, Mapping[str, str]]],
        otherwise: Callable[[], RowSource],
    ) -> None:
        """Take tables with the partition of each, and the rows where only Spark can read them."""
        self._tables, self._otherwise = tables, otherwise

    def aggregate(self, columns: Sequence[str], new_state: Callable[[], AnyState]) -> AnyState:
        """Return the state of all rows, which is merged in the order of the files."""
        files = [
            partial(table.of_file, file, columns)
            for table, partition in self._tables
            for file in table.of(partition)
        ]
        try:
            return in_threads(files, new_state)
        except UNREADABLE:  # Spark names a file that is damaged
            return self._otherwise().aggregate(columns, new_state)

    def changed(self, columns: Sequence[str], change: Change) -> RowSource:
        """Return the rows that ``change`` makes of these columns."""
        return self._otherwise().changed(columns, change)


class BatchRows:
    """The rows of a table that runs wrote, one batch each."""

    def __init__(
        self, portfolio: Portfolio, table: str, runs: Mapping[str, LastRun], policies: int
    ) -> None:
        """Take the runs by batch, and the number of policies, which decides where rows are held."""
        self._portfolio, self._table = portfolio, table
        self._versions = {batch: run.outputs[table] for batch, run in runs.items()}
        self.policies = policies
        self._is_few = 0 < policies <= portfolio.config.spark.local_rows

    def select(self, columns: Sequence[str], **partition: str) -> RowSource:
        """Return columns of the rows, or of a partition of each batch, such as a model's."""
        held = self._of_files(columns, partition) if self._is_few else None
        if held is not None:
            return in_process(held)
        tables, names = self._portfolio.tables, [quoted(name) for name in columns]
        frames = [tables.read(self._table, v, [b]) for b, v in self._versions.items()]
        frame = reduce(DataFrame.unionByName, frames)
        for name, value in partition.items():
            frame = frame.where(F.col(name) == value)
        frame = frame.select(*names)
        return collected(frame, self.policies) if self._is_few else ExecutorRows(frame)

    def streamed(self, columns: Sequence[str], **partition: str) -> RowSource:
        """Return columns of the rows as `select` does, for one sum: a file at a time, if few."""
        plain = [(table, {"batch_id": batch}) for batch, table in self._plain.items()]
        readable = [(table, by | partition) for table, by in plain if table is not None]
        if not self._is_few or len(readable) < len(plain):
            return self.select(columns, **partition)
        return FileRows(readable, lambda: self.select(columns, **partition))

    def held(self, columns: Sequence[str], key: Sequence[str] = ()) -> pa.Table:
        """Return columns of the rows as Arrow; call it only where they fit in this process.

        key: columns whose texts may stay as they are, since nearly every row has another. The rows
        are in the order in which predict's tasks take them.
        """
        held = self._of_files(columns, {}, key) if self._is_few else None
        if held is not None:
            is_whole = held.num_rows >= BATCH_ROWS * len(held.column(0).chunks)
            return held if is_whole else in_process(held, key).table
        rows = self.select(columns)
        assert isinstance(rows, DriverRows)
        return rows.table

    def _of_files(
        self, columns: Sequence[str], partition: Mapping[str, str], key: Sequence[str] = ()
    ) -> pa.Table | None:
        held = []
        for batch, table in self._plain.items():
            ordered = table.by_path() if table is not None and key else table
            by = {"batch_id": batch, **partition}
            part = ordered.rows(by, columns, key) if ordered is not None else None
            if part is None:
                return None
            held.append(part)
        return pa.concat_tables(held).unify_dictionaries() if held else None

    @cached_property
    def _plain(self) -> dict[str, PlainTable | None]:
        """Return the tables as their log has them: looked up once, however many are selected."""
        tables = {
            version: plain_table(self._portfolio.tables, self._table, version)
            for version in set(self._versions.values())
        }
        return {batch: tables[version] for batch, version in self._versions.items()}
