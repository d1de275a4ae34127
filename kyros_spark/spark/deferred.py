"""Let a command that only looks start Spark when something asks for it, and not before.

`kyros status` reads a few rows that the last run left in files. Where the tables are on this
machine's disks, that takes no JVM; whatever else a question needs starts one by asking for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

from pyspark.sql import SparkSession

from kyros_spark.config import Config, is_remote

# A session that is not ours to start, or file systems other than this machine's for plain paths.
_ELSEWHERE = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "PYSPARK_GATEWAY_PORT",
              "HADOOP_CONF_DIR", "YARN_CONF_DIR")  # fmt: skip


class DeferredSession:
    """Stands for a Spark session, which it starts once one of its attributes is asked for."""

    def __init__(self, start: Callable[[], SparkSession]) -> None:
        """Take what starts the session."""
        self._start = start
        self._session: SparkSession | None = None

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the session."""
        if self._session is None:
            self._session = self._start()
        return getattr(self._session, name)

    @property
    def is_started(self) -> bool:
        """Whether something has asked for the session."""
        return self._session is not None


def deferred(start: Callable[[], SparkSession]) -> SparkSession:
    """Return a session that ``start`` starts once it is asked for anything."""
    return cast(SparkSession, DeferredSession(start))


def is_waiting(spark: SparkSession) -> bool:
    """Return whether a session has not been started yet."""
    session: Any = spark
    return isinstance(session, DeferredSession) and not session.is_started


def can_wait(config: Config) -> bool:
    """Return whether a portfolio's small tables can be read from this machine's disks.

    That takes tables under a path, which plain file calls reach and Spark would take for the same.
    """
    base = config.tables.base
    if base is None or config.tables.catalog is not None or is_remote(str(base)):
        return False
    if any(name in os.environ for name in _ELSEWHERE) or SparkSession.getActiveSession():
        return False
    if any(key.startswith("spark.hadoop.fs.") for key in config.spark.conf):
        return False
    return os.path.isdir(
        f"{str(base).removeprefix('file://').removeprefix('file:')}/runs/_delta_log"
    )
