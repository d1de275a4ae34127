"""Cache the contents of a small table in a file beside the tables, for later runs.

A run begins by asking what was done before, and Spark's first query takes seconds of planning and
compiling, however few the rows. The file states which version of the table it was computed from. At
any other version, or where Delta's log cannot be read without a query, the table itself is queried.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.config import TableSettings
from kyros_spark.delta import log as delta_log
from kyros_spark.delta import on_disk
from kyros_spark.spark.deferred import is_waiting
from kyros_spark.storage.small_files import beside, readable_beside

FOLDER = "_kyros_kept"
_LARGEST = 4 << 20  # bytes; a longer answer is not cached


@dataclass(frozen=True)
class TableVersion:
    """The state a cached answer holds for: a table's id, its commit, and this package's code.

    committed: ms since 1970; a log restored from a copy may reach the same version again.
    """

    table: str
    version: int
    committed: int
    code: str


class VersionCache:
    """The cached answer about one table."""

    def __init__(
        self, spark: SparkSession, settings: TableSettings, location: str, name: str
    ) -> None:
        """Take the table's location and name."""
        self._spark, self._settings = spark, settings
        self._location, self._name = location, name
        self._is_usable = is_waiting(spark) or delta_log.is_reachable(spark)

    def now(self) -> TableVersion | None:
        """Return the table's present version, or None if it has none or it cannot be read."""
        if not self._is_usable:
            return None
        with suppress(Exception):  # whatever is wrong with the table, its reader names it
            identity = (
                on_disk.identity(self._spark, self._location)
                if is_waiting(self._spark)
                else delta_log.identity(self._spark, self._location)
            )
            return None if identity is None else TableVersion(*identity, environment.code_hash())
        return None

    def next_to(self, before: TableVersion | None) -> TableVersion | None:
        """Return the table's present version if it is exactly one commit after ``before``.

        before: None if there was no table; creating it counts as a commit.
        """
        now = self.now()
        if now is None or (before is not None and before.table != now.table):
            return None
        return now if now.version == (1 if before is None else before.version + 1) else None

    def get_or_compute(self, version: TableVersion | None, compute: Callable[[], Any]) -> Any:
        """Return the answer cached for a table's version; else compute it and cache it.

        compute: returns the answer, as JSON values, from the rows of that version or a later one.
        """
        answer = self._get(version)
        if answer is None:
            answer = compute()
            self.put(version, answer)
        return answer

    def _get(self, version: TableVersion | None) -> Any:
        if version is None or not self._is_usable:
            return None
        with suppress(Exception):  # missing or damaged: the table is queried
            store = readable_beside(self._spark, self._settings, FOLDER)
            cached = json.loads((store and store.get(f"{self._name}.json")) or b"{}")
            return cached["answer"] if cached["at"] == asdict(version) else None
        return None

    def put(self, version: TableVersion | None, answer: Any) -> None:
        """Cache an answer where possible; nothing depends on it."""
        if version is None or not self._is_usable:
            return
        store = beside(self._spark, self._settings, FOLDER)
        if store is None:
            return
        data = json.dumps({"at": asdict(version), "answer": answer}).encode()
        if len(data) <= _LARGEST:
            with suppress(Exception):  # a full disk, a read-only folder
                store.put(f"{self._name}.json", data)
