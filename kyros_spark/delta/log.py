"""Ask open-source Delta's own classes in the JVM, without a query or a Spark job.

Spark Connect has no JVM to ask, and Databricks' Delta has other classes.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


def is_reachable(spark: SparkSession) -> bool:
    """Return whether open-source Delta runs in a JVM that this process reaches."""
    jvm: Any = getattr(spark, "_jvm", None)
    if jvm is None:
        return False
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        jvm.java.lang.Class.forName("org.apache.spark.sql.delta.DeltaLog", False, loader)
    except Exception:  # a bare Java error: the platform has a Delta of its own
        return False
    return True


def transaction(spark: SparkSession, location: str) -> Any:
    """Return a Delta transaction on the latest version of the table in a folder."""
    classic: Any = spark
    log = classic._jvm.org.apache.spark.sql.delta.DeltaLog
    return log.forTable(classic._jsparkSession, location).startTransaction()


def version(spark: SparkSession, location: str) -> int | None:
    """Return the latest version of the table in a folder, or None if there is no table."""
    latest = int(transaction(spark, location).readVersion())
    return None if latest < 0 else latest


def identity(spark: SparkSession, location: str) -> tuple[str, int, int] | None:
    """Return a table's id, latest version and that version's commit time in ms since 1970.

    None if there is no table in the folder.
    """
    opened = transaction(spark, location)
    latest = int(opened.readVersion())
    if latest < 0:
        return None
    return str(opened.metadata().id()), latest, int(opened.snapshot().timestamp())


def schema_and_properties(spark: SparkSession, location: str) -> tuple[str, dict[str, str]]:
    """Return the schema, as JSON, and the properties of the latest version of a table."""
    metadata = transaction(spark, location).metadata()
    classic: Any = spark
    converters = classic._jvm.scala.jdk.javaapi.CollectionConverters
    return str(metadata.schemaString()), dict(converters.asJava(metadata.configuration()))


def forget(spark: SparkSession, location: str) -> None:
    """Clear Delta's cache of a table whose log was removed."""
    classic: Any = spark
    path = classic._jvm.org.apache.hadoop.fs.Path(location)
    log = classic._jvm.org.apache.spark.sql.delta.DeltaLog
    log.invalidateCache(classic._jsparkSession, path)
