"""Check a machine or a cluster, and say what to mend before the first stage runs on it.

Each check is one line: what was looked at, ok, warn or fail, what was found, what to do. Nothing is
left behind but Spark's own logs: the probe file in tables.base is removed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.doctor.cluster import cluster_checks
from kyros_spark.doctor.machine import machine_checks
from kyros_spark.doctor.store import store_check
from kyros_spark.doctor.verdict import Check, fail, warn
from kyros_spark.errors import ConfigError, KyrosError, UsageError

__all__ = ["Check", "examine"]


def examine(
    config: Config | None, opened: Callable[[], tuple[SparkSession, Config | None]]
) -> Iterator[Check]:
    """Yield the checks in the order in which they build on each other.

    config: the settings, where they can be read without Spark; without any, no store is tried.
    opened: starts or joins the session; called only where this machine can carry one.
    """
    broken = False
    for check in machine_checks(config):
        broken |= check.verdict == "fail"
        yield check
    if broken:
        yield warn("session", "not started", "mend what failed above, then ask again")
        return
    try:
        spark, settings = opened()
    except (ConfigError, UsageError):  # wrong settings are no finding about the machine
        raise
    except KyrosError as error:
        yield fail("session", str(error), "mend the cause named there")
        return
    yield from cluster_checks(spark, settings)
    if settings is not None:
        yield store_check(spark, settings.tables)
