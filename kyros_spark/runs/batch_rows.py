"""Read rows that runs wrote: from the files in this process if they fit, else by Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import (
    DriverRows,
    ExecutorRows,
    RowSource,
    collected,
    in_process,
)
from kyros_spark.delta.partition_rows import PlainTable, plain_table
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.tables.ddl import quoted


class BatchRows:
    """The rows of a table that runs wrote, one batch each."""

    def __init__(
        self, portfolio: Portfolio, table: str, runs: Mapping[str, LastRun], policies: int
    ) -> None:
        """Take the runs by batch, and the number of policies, which decides where rows are held."""
        self._portfolio, self._table = portfolio, table
        self._versions = {batch: run.outputs[table] for batch, run in runs.items()}
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
        return collected(frame) if self._is_few else ExecutorRows(frame)

    def held(self, columns: Sequence[str], key: Sequence[str] = ()) -> pa.Table:
        """Return columns of the rows as Arrow; call it only where they fit in this process.

        key: columns whose texts may stay as they are, since nearly every row has another.
        """
        held = self._of_files(columns, {}, key) if self._is_few else None
        if held is not None:
            return in_process(held, key).table
        rows = self.select(columns)
        assert isinstance(rows, DriverRows)
        return rows.table

    def _of_files(
        self, columns: Sequence[str], partition: Mapping[str, str], key: Sequence[str] = ()
    ) -> pa.Table | None:
        parts = [
            None if table is None else table.rows({"batch_id": batch, **partition}, columns, key)
            for batch, table in self._plain.items()
        ]
        held = [part for part in parts if part is not None]
        if not held or len(held) < len(parts):
            return None
        return pa.concat_tables(held).unify_dictionaries()

    @cached_property
    def _plain(self) -> dict[str, PlainTable | None]:
        """Return the tables as their log has them: looked up once, however many are selected."""
        tables = {
            version: plain_table(self._portfolio.tables, self._table, version)
            for version in set(self._versions.values())
        }
        return {batch: tables[version] for batch, version in self._versions.items()}
