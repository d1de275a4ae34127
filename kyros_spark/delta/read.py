"""Find and read Delta tables, under a path or in a catalog's schema.

Plain SQL and the DataFrame reader only, so that the same code runs on a Connect session.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.failures import is_missing, translate_access_errors
from kyros_spark.delta.version_cache import VersionCache
from kyros_spark.errors import BatchMissingError
from kyros_spark.spark_version import condition_of
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import quoted


class DeltaReader:
    """What can be asked of the tables of one portfolio."""

    def __init__(self, spark: SparkSession, settings: TableSettings) -> None:
        """Take the session and where the tables lie."""
        self.spark = spark
        self._settings = settings
        # The newest version of each table that was seen here, and the tables that lack nothing: a
        # question to Delta costs a job, and a run would ask the same ones again and again.
        self._seen: dict[str, int] = {}
        self._complete: dict[str, Table] = {}

    def location(self, name: str) -> str:
        """Return the table's path, or its three-part name in the catalog."""
        if self._settings.catalog is not None:
            return f"{self._settings.catalog}.{name}"
        return f"{str(self._settings.base).rstrip('/')}/{name}"

    def reference(self, name: str) -> str:
        """Return the table as SQL names it."""
        if self._settings.catalog is not None:
            parts = [*self._settings.catalog.split("."), name]
            return ".".join(quoted(part) for part in parts)
        return f"delta.{quoted(self.location(name))}"

    @property
    def by_path(self) -> bool:
        """Tell whether the tables lie under a path, and not in a catalog."""
        return self._settings.catalog is None

    def version_cache(self, name: str) -> VersionCache:
        """Return what is kept of a table's rows from earlier runs."""
        return VersionCache(self.spark, self._settings, self.location(name), name)

    def history(self, name: str) -> list[Row]:
        """Return the table's commits, the newest first."""
        return self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)}").collect()

    def version(self, name: str) -> int | None:
        """Return the latest version, or None where there is no such table."""
        if self.by_path and delta_log.can_be_asked(self.spark):
            with suppress(Exception):  # whatever is wrong: the query below tells it by name
                found = delta_log.version(self.spark, self.location(name))
                if found is not None:
                    self._seen[name] = found
                return found
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

    def has(self, name: str, version: int) -> bool:
        """Tell whether the table is there and has come to a version, or past it."""
        if self._seen.get(name, -1) >= version:
            return True
        found = self.version(name)
        return found is not None and found >= version

    def find(self, name: str) -> DataFrame | None:
        """Return the latest version of a table, or None where there is no such table."""
        try:
            return self._load(name, None)
        except PySparkException as error:
            if is_missing(error):
                return None
            raise

    def read(
        self, name: str, version: int | None = None, batches: Sequence[str] | None = None
    ) -> DataFrame:
        """Read a table at one version (default: the latest), and only the batches asked for.

        Raises:
            BatchMissingError: the table, or that version of it, is not there.
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
            return self._loaded(name, version)

    def _loaded(self, name: str, version: int | None) -> DataFrame:
        if self._settings.catalog is None:
            at: dict[str, Any] = {} if version is None else {"versionAsOf": version}
            table = self.spark.read.format("delta").options(**at).load(self.location(name))
        else:  # by name, some readers take no notice of the option
            past = "" if version is None else f" VERSION AS OF {version}"
            table = self.spark.sql(f"SELECT * FROM {self.reference(name)}{past}")
        _ = table.schema  # Connect asks the server only now whether there is such a table
        return table
