"""Keep what the rows of a small table say in a file beside the tables, for later runs.

A run begins by asking what was done before, and Spark's first query takes seconds of planning and
compiling, however few the rows. The file tells which version of the table it was made from: at any
other version, or where Delta's log cannot be asked without a query, the table itself is asked.
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
from kyros_spark.storage.small_files import beside

FOLDER = "_kyros_kept"
_MOST = 4 << 20  # bytes: a longer answer is asked for again


@dataclass(frozen=True)
class TableVersion:
    """What an answer holds for: a table by its id, at a commit, read by this package's code.

    committed: ms since 1970; a log put back from a copy may have come to the same version again.
    """

    table: str
    version: int
    committed: int
    code: str


class VersionCache:
    """The answer that is kept of one table."""

    def __init__(self, spark: SparkSession, settings: TableSettings, place: str, name: str) -> None:
        """Take where the table lies, and its name."""
        self._spark, self._place, self._name = spark, place, name
        asked = delta_log.can_be_asked(spark)
        self._store = beside(spark, settings, FOLDER) if asked else None

    def now(self) -> TableVersion | None:
        """Return where the table stands, or None where there is none or it cannot be told."""
        if self._store is None:
            return None
        with suppress(Exception):  # whatever is wrong with the table: its reader names it
            found = delta_log.identity(self._spark, self._place)
            return None if found is None else TableVersion(*found, environment.code_hash())
        return None

    def next_to(self, before: TableVersion | None) -> TableVersion | None:
        """Return where the table stands, if since ``before`` it came one commit further.

        before: None where there was no table; making it is a commit too.
        """
        now = self.now()
        if now is None or (before is not None and before.table != now.table):
            return None
        return now if now.version == (1 if before is None else before.version + 1) else None

    def get_or_compute(self, at: TableVersion | None, ask: Callable[[], Any]) -> Any:
        """Return what is kept for where the table stands; else ask, and keep it.

        ask: its answer is JSON's; of rows at ``at`` or later ones.
        """
        told = self._recalled(at)
        if told is None:
            told = ask()
            self.put(at, told)
        return told

    def _recalled(self, at: TableVersion | None) -> Any:
        if at is None or self._store is None:
            return None
        with suppress(Exception):  # not there, or not whole: the table is asked
            told = json.loads(self._store.get(f"{self._name}.json") or b"{}")
            return told["answer"] if told["at"] == asdict(at) else None
        return None

    def put(self, at: TableVersion | None, answer: Any) -> None:
        """Keep an answer, where it can be; nobody depends on it."""
        if at is None or self._store is None:
            return
        data = json.dumps({"at": asdict(at), "answer": answer}).encode()
        if len(data) <= _MOST:
            with suppress(Exception):  # a full disk, a folder that may only be read
                self._store.put(f"{self._name}.json", data)
