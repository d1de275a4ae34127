"""Look a table up in its log on this machine's disks, while no Spark has been started.

A log that is not as most are is left to Delta, which then names what is wrong with it.
"""

from __future__ import annotations

import os
import re

from pyspark.sql import SparkSession

from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.log_files import commit_address, layout_at
from kyros_spark.storage.files import local_path

_COMMIT = re.compile(r"^(\d{20})\.json$")
_OWN_CLOCK = "delta.enableInCommitTimestamps"  # a commit's time is in its file, then


class LeftToDeltaError(Exception):
    """A log that only Delta reads with certainty; it does not reach users."""


def folder(location: str) -> str:
    """Return a table's folder as Hadoop qualifies it."""
    return f"file:{local_path(location).absolute()}"


def version(location: str) -> int | None:
    """Return the latest version of the table in a folder, or None if there is no table."""
    log = local_path(location) / "_delta_log"
    names = os.listdir(log) if log.is_dir() else []
    return max((int(name[1]) for name in map(_COMMIT.match, names) if name), default=None)


def layout(spark: SparkSession, location: str) -> TableLayout | None:
    """Return how the table in a folder is described in its log, or None if there is no table.

    Raises:
        LeftToDeltaError: only Delta reads this log with certainty.
    """
    latest = version(location)
    return None if latest is None else _layout_at(spark, location, latest)


def identity(spark: SparkSession, location: str) -> tuple[str, int, int] | None:
    """Return a table's id, latest version and that version's commit time in ms since 1970.

    None if there is no table in the folder.

    Raises:
        LeftToDeltaError: only Delta reads this log with certainty.
    """
    latest = version(location)
    if latest is None:
        return None
    described = _layout_at(spark, location, latest)
    if described.properties.get(_OWN_CLOCK, "false") != "false":
        raise LeftToDeltaError(location)
    commit = local_path(commit_address(folder(location), latest))
    return str(described.metadata["id"]), latest, commit.stat().st_mtime_ns // 1_000_000


def _layout_at(spark: SparkSession, location: str, latest: int) -> TableLayout:
    described = layout_at(spark, folder(location), latest)
    if described is None:
        raise LeftToDeltaError(location)
    return described
