"""Write Delta tables: the only place that does.

Every write replaces whole batches or appends, in one commit that carries the run id, and is checked
against the table's contract first. Plain SQL and the DataFrame reader and writer only, so that the
same code runs on a Connect session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import TableSettings
from kyros_spark.delta.failures import (
    translate_concurrency_errors,
    translate_constraint_errors,
    translate_location_errors,
)
from kyros_spark.delta.first_commit import (
    remove_log_without_commit,
)
from kyros_spark.delta.lease import (
    lease_of,
)
from kyros_spark.delta.read import DeltaReader
from kyros_spark.errors import ConcurrentRunError, PlatformError, TableSchemaError
from kyros_spark.spark_version import on_databricks
from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.ddl import create_statement, definitions, quoted

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@dataclass(frozen=True)
class Written:
    """A commit: where the table lies, its version after the commit, and the rows it added."""

    location: str
    version: int
    rows: int


class DeltaTables(DeltaReader):
    """The tables of one portfolio: what can be asked of them, and what writes them."""

    def __init__(self, spark: SparkSession, settings: TableSettings) -> None:
        """Take the session and where the tables lie."""
        super().__init__(spark, settings)
        self._lease = lease_of(spark, settings)

    def hold(self, run_id: str) -> None:
        """See to it that nobody else writes meanwhile, where Delta cannot; until ``release``.

        Raises:
            ConcurrentRunError: another driver writes these tables.
        """
        if self._lease is not None:
            self._lease.hold(run_id)

    def release(self) -> None:
        """Let other drivers write, where only one at a time may."""
        if self._lease is not None:
            self._lease.release()

    def replace(
        self,
        table: Table,
        rows: DataFrame,
        run_id: str,
        where: str,
        rows_per_file: int | None = None,
    ) -> Written:
        """Replace the rows that match ``where`` by ``rows``, in one commit.

        rows_per_file: the most that a file holds; default as many as a task has.

        Raises:
            TableSchemaError: the table has a column of another type.
            TableConstraintError: a row breaks a constraint; nothing was written.
        """
        new = self._ensure(table, run_id)
        before = self._seen[table.name]
        writer = _selected(rows, table, new).write.mode("overwrite").option("replaceWhere", where)
        self._save(writer, table, run_id, new, rows_per_file)
        return self._committed(table.name, run_id, before)

    def append(
        self,
        table: Table,
        rows: DataFrame,
        told: str,
        once: Mapping[str, str] | None = None,
        rows_per_file: int | None = None,
    ) -> None:
        """Append rows, in one commit that carries ``told``: the run id.

        once: Delta's txnAppId and txnVersion, so that what was committed is not again.
        rows_per_file: the most that a file holds; default as many as a task has.
        """
        new = self._ensure(table, told)
        writer = _selected(rows, table, new).write.mode("append").options(**(once or {}))
        self._save(writer, table, told, new, rows_per_file)

    def merge(
        self, table: Table, rows: DataFrame, run_id: str, match: str, clauses: Sequence[str]
    ) -> Written:
        """Merge rows into the table, in one commit.

        match: the condition that pairs a row s of ``rows`` with a row t of the table.
        clauses: what becomes of pairs and of single rows, as MERGE takes it.
        """
        self.make(table, run_id)
        before = self._seen[table.name]
        view = f"kyros_merge_{table.name}"
        rows.createOrReplaceTempView(view)
        into = f"MERGE INTO {self.reference(table.name)} t USING {view} s ON {match}"
        try:
            named = translate_constraint_errors(table), translate_concurrency_errors(table.name)
            with named[0], named[1], self.stamped(run_id):
                self.spark.sql(" ".join([into, *clauses]))
        finally:
            self.spark.catalog.dropTempView(view)
        return self._committed(table.name, run_id, before)

    def _save(
        self,
        writer: DataFrameWriter,
        table: Table,
        run_id: str,
        new: Sequence[Column],
        rows_per_file: int | None,
    ) -> None:
        self.hold(run_id)
        writer = writer.format("delta").option("userMetadata", run_id)
        if rows_per_file is not None:
            writer = writer.option("maxRecordsPerFile", rows_per_file)
        if new:  # in the same commit as the rows, so that a failed write adds no column either
            writer = writer.option("mergeSchema", "true")
        with translate_constraint_errors(table), translate_concurrency_errors(table.name):
            if self._settings.catalog is not None and on_databricks():
                writer.saveAsTable(self.location(table.name))
            else:
                writer.save(self._folder(table.name))
        self._complete[table.name] = table

    def _folder(self, name: str) -> str:
        """Return a table's folder; of a catalog's too: written by name, stages never get counts."""
        if self._settings.catalog is None:
            return self.location(name)
        return str(
            self.spark.sql(f"DESCRIBE DETAIL {self.reference(name)}").collect()[0]["location"]
        )

    def _committed(self, name: str, run_id: str, before: int) -> Written:
        history = self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)} LIMIT 20").collect()
        self._seen[name] = max(int(commit["version"]) for commit in history)
        # A run id may be given again, for another batch: only what came after ``before`` is ours.
        for commit in sorted(history, key=lambda c: int(c["version"]), reverse=True):
            if commit["userMetadata"] == run_id and commit["version"] > before:
                rows = int(commit["operationMetrics"].get("numOutputRows", "0"))
                return Written(self.location(name), int(commit["version"]), rows)
        # Delta makes no commit where nothing is removed and nothing is added.
        return Written(self.location(name), self._seen[name], 0)

    def create(self, table: Table, run_id: str) -> None:
        """Create a table that was not there when it was asked for.

        Raises:
            PlatformError: it cannot be made there, for example among files that are not its own.
        """
        place = self.location(table.name)
        try:
            with (
                self.stamped(run_id),
                translate_location_errors(place),
                translate_concurrency_errors(table.name),
            ):
                if self._settings.catalog is None:
                    remove_log_without_commit(self.spark, place)
                self.spark.sql(create_statement(table, self.reference(table.name)))
        except ConcurrentRunError:  # two first runs: the other's table is as good
            if self.version(table.name) is None:
                raise
        if self.version(table.name) is None:  # Delta does nothing, and says nothing
            raise PlatformError(
                f"table {table.name} cannot be made at {place}: expected an empty folder or none, "
                "found files without a Delta log; move them away, or use another tables.base"
            )
        self._complete[table.name] = table

    def clone(self, name: str, source: str, version: int) -> None:
        """Make a table of this name that reads a version of another's files, copying none.

        source: the other table, as SQL names it.
        """
        words = f"SHALLOW CLONE {source} VERSION AS OF {version}"
        with translate_location_errors(self.location(name)):
            self.spark.sql(f"CREATE TABLE {self.reference(name)} {words}")

    def delete(self, name: str, where: str) -> None:
        """Delete the rows of a condition, in one commit."""
        self.spark.sql(f"DELETE FROM {self.reference(name)} WHERE {where}")
        self.forget(name)

    def make(self, table: Table, run_id: str) -> None:
        """Create the table, or add the columns that it lacks."""
        new = self._ensure(table, run_id)
        if new:
            alter = f"ALTER TABLE {self.reference(table.name)} ADD COLUMNS"
            with self.stamped(run_id), translate_concurrency_errors(table.name):
                self.spark.sql(f"{alter} ({definitions(new)})")
        self._complete[table.name] = table

    def forget(self, name: str) -> None:
        """Forget what was seen of a table that is there no more."""
        self._seen.pop(name, None)
        self._complete.pop(name, None)

    def _ensure(self, table: Table, run_id: str) -> list[Column]:
        """Create the table, or return the columns that it lacks and the write has to add."""
        if self._complete.get(table.name) == table:
            return []
        if self.version(table.name) is not None:
            return self._lacks(table)
        self.create(table, run_id)
        return []

    def check(self, *tables: Table) -> None:
        """Refuse contracts that the tables there are do not fit, before one of several is written.

        Raises:
            TableSchemaError: a table has a column of another type.
        """
        for table in tables:
            known = self._complete.get(table.name) == table
            if not known and self.version(table.name) is not None and not self._lacks(table):
                self._complete[table.name] = table

    def _lacks(self, table: Table) -> list[Column]:
        found = {f.name: f.dataType.simpleString() for f in self.read(table.name).schema.fields}
        for column in table.columns:
            if column.name in found and found[column.name] != column.type:
                raise TableSchemaError(
                    f"table {table.name}, column {column.name}: expected {column.type}, found "
                    f"{found[column.name]}; rename the column, or use another tables.base"
                )
        return [column for column in table.columns if column.name not in found]

    @contextmanager
    def stamped(self, run_id: str) -> Iterator[None]:
        """Let the commits that are made meanwhile carry the run id."""
        self.hold(run_id)
        self.spark.conf.set(_USER_METADATA, run_id)
        try:
            yield
        finally:
            self.spark.conf.unset(_USER_METADATA)


def _selected(rows: DataFrame, table: Table, new: Sequence[Column]) -> DataFrame:
    """Return the table's columns; those that the write adds bring their comment with them."""
    told = {column.name: {"comment": column.comment} for column in new}
    return rows.select(
        *(F.col(quoted(n)).alias(n, metadata=told[n]) if n in told else quoted(n)
          for n in table.names)
    )  # fmt: skip
