"""Find and read Delta tables, under a path or in a catalog's schema.

Only plain SQL and the DataFrame reader are used, so the same code runs on a Connect session.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.delta import log as delta_log
from kyros_spark.delta import on_disk
from kyros_spark.delta.failures import is_missing, translate_access_errors
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.version_cache import VersionCache
from kyros_spark.errors import BatchMissingError
from kyros_spark.spark.deferred import is_waiting
from kyros_spark.spark_version import condition_of
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import quoted


class DeltaReader:
    """Read access to the tables of one portfolio."""

    def __init__(self, spark: SparkSession, settings: TableSettings) -> None:
        """Take the session and the settings of the tables' location."""
        self.spark = spark
        self._settings = settings
        # Per table, the newest version seen here, and the contract that it was found to fit. Asking
        # Delta costs a job, and a run would ask for the same facts again and again.
        self._seen: dict[str, int] = {}
        self._complete: dict[str, Table] = {}

    def location(self, name: str) -> str:
        """Return the table's path, or its three-part name in the catalog."""
        if self._settings.catalog is not None:
            return f"{self._settings.catalog}.{name}"
        return f"{str(self._settings.base).rstrip('/')}/{name}"

    def reference(self, name: str) -> str:
        """Return the table's name as SQL takes it."""
        return ".".join(quoted(part) for part in self.reference_parts(name))

    def reference_parts(self, name: str) -> tuple[str, ...]:
        """Return the parts of the table's name in SQL."""
        if self._settings.catalog is not None:
            return (*self._settings.catalog.split("."), name)
        return ("delta", self.location(name))

    @property
    def by_path(self) -> bool:
        """Whether the tables lie under a path rather than in a catalog."""
        return self._settings.catalog is None

    def folder(self, name: str) -> str:
        """Return the folder of a table under a path, as Hadoop qualifies it."""
        location = self.location(name)
        if is_waiting(self.spark):
            return on_disk.folder(location)
        return delta_log.folder(self.spark, location)

    def version_cache(self, name: str) -> VersionCache:
        """Return the cache of a table's contents that earlier runs filled."""
        return VersionCache(self.spark, self._settings, self.location(name), name)

    def history(self, name: str) -> list[Row]:
        """Return the table's commits, newest first."""
        return self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)}").collect()

    def version(self, name: str) -> int | None:
        """Return the table's latest version, or None if there is no such table."""
        if is_waiting(self.spark):
            with suppress(OSError):  # as below
                return on_disk.version(self.location(name))
        if self.by_path and delta_log.is_reachable(self.spark):
            with suppress(Exception):  # whatever is wrong, the query below names it
                latest = delta_log.version(self.spark, self.location(name))
                if latest is not None:
                    self._seen[name] = latest
                return latest
        try:
            with translate_access_errors(self.location(name)):
                row = self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)} LIMIT 1").first()
        except PySparkException as error:
            if is_missing(error):
                return None
            raise
        if row is None:
            return None
        self._seen[name] = int(row["version"])
        return self._seen[name]

    def layout(self, name: str) -> TableLayout | None:
        """Return how a table is described in its log, if that can be read without a query."""
        if is_waiting(self.spark):
            with suppress(Exception):  # whatever is wrong with the table, its reader names it
                return on_disk.layout(self.spark, self.location(name))
        if self.by_path and delta_log.is_reachable(self.spark):
            with suppress(Exception):  # whatever is wrong with the table, its reader names it
                return delta_log.layout(self.spark, self.location(name))
        return None

    def features(self, name: str) -> set[str]:
        """Return the features of Delta that a table's readers and writers must know."""
        layout = self.layout(name)
        if layout is not None:
            return layout.features
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.reference(name)}").first()
        return set() if detail is None else set(detail["tableFeatures"] or ())

    def has(self, name: str, version: int) -> bool:
        """Return whether the table exists and has reached a version."""
        if self._seen.get(name, -1) >= version:
            return True
        latest = self.version(name)
        return latest is not None and latest >= version

    def find(self, name: str) -> DataFrame | None:
        """Return the latest version of a table, or None if there is no such table."""
        try:
            return self._load(name, None)
        except PySparkException as error:
            if is_missing(error):
                return None
            raise

    def read(
        self, name: str, version: int | None = None, batches: Sequence[str] | None = None
    ) -> DataFrame:
        """Read a table at one version (default: the latest), restricted to ``batches`` if given.

        Raises:
            BatchMissingError: the table, or that version of it, does not exist.
        """
        try:
            table = self._load(name, version)
        except PySparkException as error:
            raise BatchMissingError(
                f"table {name}: expected version {version if version is not None else 'any'} at "
                f"{self.location(name)}, found none ({condition_of(error)}); "
                "run the stage that writes it again"
            ) from error
        if batches is None:
            return table
        return table.where(table["batch_id"].isin(list(batches)))

    def _load(self, name: str, version: int | None) -> DataFrame:
        with translate_access_errors(self.location(name)):
            if self.by_path:
                options: dict[str, Any] = {} if version is None else {"versionAsOf": version}
                reader = self.spark.read.format("delta").options(**options)
                table = reader.load(self.location(name))
            else:  # when reading by name, some readers ignore the option
                past = "" if version is None else f" VERSION AS OF {version}"
                table = self.spark.sql(f"SELECT * FROM {self.reference(name)}{past}")
            _ = table.schema  # only this makes Connect ask the server whether the table exists
            return table
