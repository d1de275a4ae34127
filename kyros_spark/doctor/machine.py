"""Check this machine before a session is started."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator

import pyspark

from kyros_spark.config import Config, SparkSettings
from kyros_spark.doctor.archive import archive_check
from kyros_spark.doctor.memory import local_memory, machine_bytes
from kyros_spark.doctor.verdict import Check, fail, ok, warn
from kyros_spark.errors import PlatformError
from kyros_spark.spark import runtime


def machine_checks(config: Config | None) -> Iterator[Check]:
    """Yield the checks of Python and Spark, and of Java, Delta's jars and memory.

    The latter three are left out where spark-submit or a server has started Spark already.
    """
    yield ok("python", f"{platform.python_version()} in {sys.prefix}")
    yield _spark()
    if "PYSPARK_GATEWAY_PORT" in os.environ or "SPARK_CONNECT_MODE_ENABLED" in os.environ:
        return  # the session's own checks show what it runs on
    yield from _java()
    yield _delta_jars()
    yield local_memory((config.spark if config else SparkSettings()).driver_memory, machine_bytes())


def _spark() -> Check:
    try:
        coordinates = runtime.delta_coordinates(pyspark.__version__)
    except PlatformError as error:
        return fail("spark", pyspark.__version__, str(error))
    return ok("spark", f"{pyspark.__version__}, with {coordinates.rpartition(':')[0]}")


def _java() -> Iterator[Check]:
    try:
        java = runtime.find_java()
    except PlatformError as error:
        yield fail("java", "none that Spark runs on", str(error))
        return
    yield ok("java", f"Java {java.version} in {java.home}")
    yield archive_check(java)


def _delta_jars() -> Check:
    try:
        jars = runtime.delta_jars()
    except PlatformError as error:
        return fail("delta jars", "unknown", str(error))
    if jars is None:
        return warn(
            "delta jars",
            "not on this machine yet",
            "the first start fetches them; ahead of it: python -m kyros_spark.spark.runtime",
        )
    return ok("delta jars", f"{jars[0].name} in {jars[0].parent}")
