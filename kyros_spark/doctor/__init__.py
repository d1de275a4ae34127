"""Check a machine or a cluster, and say what to fix before the first stage runs on it.

Each check is one line: its subject, a verdict (ok, warn or fail), the finding, and the fix. Only
Spark's own logs are left behind: the probe file in tables.base is removed again.
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

    config: the settings, if they can be read without Spark.
    opened: starts or joins the session and returns it with the settings, without which the store is
    not checked. It is called only if the machine's own checks pass.

    Raises:
        ConfigError, UsageError: the settings are wrong.
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
    except (ConfigError, UsageError):  # wrong settings say nothing about the machine
        raise
    except KyrosError as error:
        yield fail("session", str(error), "mend the cause named there")
        return
    yield from cluster_checks(spark, settings)
    if settings is not None:
        yield store_check(spark, settings.tables)
