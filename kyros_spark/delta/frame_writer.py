"""Write what Spark computes into Delta tables.

Every write replaces whole batches or appends, in one commit that carries the run id, and is first
checked against the table's contract. Only plain SQL and the DataFrame reader and writer are used,
so the same code runs on a Connect session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, DataFrameWriter
from pyspark.sql import functions as F

from kyros_spark.delta import log as delta_log
from kyros_spark.delta.failures import translate_concurrency_errors, translate_constraint_errors
from kyros_spark.delta.log_files import commits_behind
from kyros_spark.delta.reach import check_condition, check_given
from kyros_spark.delta.schemas import DeltaSchemas
from kyros_spark.delta.where import Where
from kyros_spark.spark_version import on_databricks
from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.ddl import quoted


@dataclass(frozen=True)
class Written:
    """A commit: the table's location, its version after the commit, and the rows it added."""

    location: str
    version: int
    rows: int


class FrameWriter(DeltaSchemas):
    """The tables of one portfolio, written from DataFrames."""

    def replace(
        self,
        table: Table,
        rows: DataFrame,
        run_id: str,
        where: Where,
        rows_per_file: int | None = None,
        *,
        batch: str | None,
    ) -> Written:
        """Replace the rows that match ``where`` by ``rows``, in one commit.

        rows_per_file: the most rows per file; by default one file per task and partition.
        batch: the only batch whose rows it may replace; None for a table of no batches.

        Raises:
            OtherBatchError: ``where`` may hold for rows of another batch; nothing was written.
            TableSchemaError: the table has a column of another type.
            TableConstraintError: a row breaks a constraint; nothing was written.
        """
        check_given(table, batch)
        new = self._ensure(table, run_id)
        before, condition = self._seen[table.name], where.sql()
        check_condition(self.spark, table, condition, batch, self.find)
        writer = _selected(rows, table, new).write.mode("overwrite")
        writer = writer.option("replaceWhere", condition)
        self._save(writer, table, run_id, new, rows_per_file)
        return self._committed(table.name, run_id, before)

    def append(
        self,
        table: Table,
        rows: DataFrame,
        metadata: str,
        once: Mapping[str, str] | None = None,
        rows_per_file: int | None = None,
    ) -> None:
        """Append rows, in one commit.

        metadata: the commit's user metadata: the run id, or a JSON text that holds it.
        once: Delta's txnAppId and txnVersion, which keep it from committing the same rows twice.
        rows_per_file: the most rows per file; by default one file per task and partition.
        """
        new = self._ensure(table, metadata)
        writer = _selected(rows, table, new).write.mode("append").options(**(once or {}))
        self._save(writer, table, metadata, new, rows_per_file)

    def merge(
        self, table: Table, rows: DataFrame, run_id: str, match: str, clauses: Sequence[str]
    ) -> Written:
        """Merge rows into the table, in one commit.

        match: the condition that pairs a row s of ``rows`` with a row t of the table.
        clauses: MERGE's WHEN clauses, which say what becomes of pairs and of single rows.
        """
        self.make(table, run_id)
        before = self._seen[table.name]
        view = f"kyros_merge_{table.name}"
        rows.createOrReplaceTempView(view)
        into = f"MERGE INTO {self.reference(table.name)} t USING {view} s ON {match}"
        try:
            with (
                translate_constraint_errors(table),
                translate_concurrency_errors(table.name),
                self.stamped(run_id),
                self.fenced(table.name),
            ):
                self.spark.sql(" ".join([into, *clauses]))
        finally:
            self.spark.catalog.dropTempView(view)
        return self._committed(table.name, run_id, before)

    def delete(self, name: str, where: str) -> None:
        """Delete the rows that match ``where``, in one commit."""
        self.spark.sql(f"DELETE FROM {self.reference(name)} WHERE {where}")
        self.forget(name)

    def _save(
        self,
        writer: DataFrameWriter,
        table: Table,
        metadata: str,
        new: Sequence[Column],
        rows_per_file: int | None,
    ) -> None:
        self.hold(metadata)
        writer = writer.format("delta").option("userMetadata", metadata)
        if rows_per_file is not None:
            writer = writer.option("maxRecordsPerFile", rows_per_file)
        if new:  # in the same commit as the rows, so that a failed write adds no column either
            writer = writer.option("mergeSchema", "true")
        with (
            translate_constraint_errors(table),
            translate_concurrency_errors(table.name),
            self.fenced(table.name),
        ):
            if not self.by_path and on_databricks():
                writer.saveAsTable(self.location(table.name))
            else:
                writer.save(self._folder(table.name))
        self._complete[table.name] = table

    def _folder(self, name: str) -> str:
        """Return a table's folder, in a catalog too: writes by name report no row counts."""
        if self.by_path:
            return self.location(name)
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.reference(name)}").collect()[0]
        return str(detail["location"])

    def _committed(self, name: str, run_id: str, before: int) -> Written:
        """Return the newest commit of a run after version ``before``."""
        # A run id may be given again for another batch, so older commits may carry it too.
        commits = [(v, info) for v, info in self._commits(name, before) if v > before]
        self._seen[name] = max((version for version, _ in commits), default=before)
        for version, info in sorted(commits, key=lambda commit: commit[0], reverse=True):
            if info.get("userMetadata") == run_id:
                rows = int((info.get("operationMetrics") or {}).get("numOutputRows", "0"))
                return Written(self.location(name), version, rows)
        # Delta makes no commit where nothing is removed and nothing is added.
        return Written(self.location(name), self._seen[name], 0)

    def _commits(self, name: str, before: int) -> list[tuple[int, dict[str, Any]]]:
        """Return version and commit info of the commits behind ``before``, or of more."""
        if self.by_path and delta_log.is_reachable(self.spark):
            with suppress(Exception):  # whatever is wrong with the log, the query names it
                folder = self.folder(name)
                return list(commits_behind(self.spark, folder, before))
        history = self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)} LIMIT 20").collect()
        return [(int(commit["version"]), commit.asDict()) for commit in history]


def _selected(rows: DataFrame, table: Table, new: Sequence[Column]) -> DataFrame:
    """Return the table's columns in order; those that the write adds carry their comment."""
    metadata = {column.name: {"comment": column.comment} for column in new}
    return rows.select(
        *(F.col(quoted(name)).alias(name, metadata=metadata[name])
          if name in metadata else quoted(name)
          for name in table.names)
    )  # fmt: skip
