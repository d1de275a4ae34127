"""Create Delta tables and keep them to their contracts, in commits that carry the run id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pyspark.sql import SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.delta.failures import translate_concurrency_errors, translate_location_errors
from kyros_spark.delta.fence import carried
from kyros_spark.delta.first_commit import remove_log_without_commit
from kyros_spark.delta.lease import lease_of
from kyros_spark.delta.read import DeltaReader
from kyros_spark.errors import ConcurrentRunError, PlatformError, TableSchemaError
from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.ddl import create_statement, definitions

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


class DeltaSchemas(DeltaReader):
    """The tables of one portfolio, read and brought to their contracts' columns."""

    def __init__(self, spark: SparkSession, settings: TableSettings) -> None:
        """Take the session and the settings of the tables' location."""
        super().__init__(spark, settings)
        self._lease = lease_of(spark, settings)

    def hold(self, run_id: str) -> None:
        """Keep other drivers from writing until ``release``, where Delta cannot.

        Raises:
            ConcurrentRunError: another driver writes these tables.
        """
        if self._lease is not None:
            self._lease.hold(run_id)

    def fence(self) -> int | None:
        """Return a fencing number for the next commit, or None where no lease is needed."""
        return None if self._lease is None else self._lease.fence()

    @contextmanager
    def fenced(self, name: str) -> Iterator[None]:
        """Let the block's commit to a table carry a fencing number, where there is a lease.

        Raises:
            ConcurrentRunError: a driver with a later lease has written to the table.
        """
        number = self.fence()
        with nullcontext() if number is None else carried(self.spark, self.location(name), number):
            yield

    def release(self) -> None:
        """Let other drivers write again, where only one at a time may."""
        if self._lease is not None:
            self._lease.release()

    @contextmanager
    def stamped(self, run_id: str) -> Iterator[None]:
        """Let every commit of the block carry the run id."""
        self.hold(run_id)
        self.spark.conf.set(_USER_METADATA, run_id)
        try:
            yield
        finally:
            self.spark.conf.unset(_USER_METADATA)

    def make(self, table: Table, run_id: str) -> None:
        """Create the table, or add the columns that it lacks."""
        missing = self._ensure(table, run_id)
        if missing:
            alter = f"ALTER TABLE {self.reference(table.name)} ADD COLUMNS"
            with self.stamped(run_id), translate_concurrency_errors(table.name):
                self.spark.sql(f"{alter} ({definitions(missing)})")
        self._complete[table.name] = table

    def create(self, table: Table, run_id: str) -> None:
        """Create a table that did not exist when last looked for.

        Raises:
            PlatformError: it cannot be created there, for example among files that are not its own.
        """
        location = self.location(table.name)
        try:
            with (
                self.stamped(run_id),
                translate_location_errors(location),
                translate_concurrency_errors(table.name),
            ):
                if self.by_path:
                    remove_log_without_commit(self.spark, location)
                self.spark.sql(create_statement(table, self.reference(table.name)))
        except ConcurrentRunError:  # two first runs: the other's table is as good
            if self.version(table.name) is None:
                raise
        if self.version(table.name) is None:  # Delta then did nothing, without an error
            raise PlatformError(
                f"table {table.name} cannot be made at {location}: expected an empty folder or "
                "none, found files without a Delta log; move them away, or use another tables.base"
            )
        self._complete[table.name] = table

    def clone(self, name: str, source: str, version: int) -> None:
        """Create a table that reads one version of another table's files, without copying them.

        source: the other table's name as SQL takes it.
        """
        words = f"SHALLOW CLONE {source} VERSION AS OF {version}"
        with translate_location_errors(self.location(name)):
            self.spark.sql(f"CREATE TABLE {self.reference(name)} {words}")

    def check(self, *tables: Table) -> None:
        """Refuse contracts that the existing tables do not fit, before the first table is written.

        Raises:
            TableSchemaError: a table has a column of another type.
        """
        for table in tables:
            if self._complete.get(table.name) == table or self.version(table.name) is None:
                continue
            if not self._missing(table):
                self._complete[table.name] = table

    def forget(self, name: str) -> None:
        """Forget the version and contract seen of a table that was removed or changed."""
        self._seen.pop(name, None)
        self._complete.pop(name, None)

    def _ensure(self, table: Table, run_id: str) -> list[Column]:
        """Create the table, or return the columns that it lacks and the write has to add."""
        if self._complete.get(table.name) == table:
            return []
        if self.version(table.name) is not None:
            return self._missing(table)
        self.create(table, run_id)
        return []

    def _missing(self, table: Table) -> list[Column]:
        """Return the contract's columns that the existing table lacks.

        Raises:
            TableSchemaError: the table has a column of another type.
        """
        layout = self.layout(table.name)
        schema = layout.spark_schema() if layout is not None else self.read(table.name).schema
        types = {field.name: field.dataType.simpleString() for field in schema.fields}
        for column in table.columns:
            if column.name in types and types[column.name] != column.type:
                raise TableSchemaError(
                    f"table {table.name}, column {column.name}: expected {column.type}, found "
                    f"{types[column.name]}; rename the column, or use another tables.base"
                )
        return [column for column in table.columns if column.name not in types]
