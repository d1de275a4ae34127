"""Ask Delta's own classes in the JVM, where it is open-source Delta's: no query, and no job.

Spark Connect has no JVM to be asked, and Databricks' Delta has other classes.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


def can_be_asked(spark: SparkSession) -> bool:
    """Tell whether open-source Delta is there, in a JVM that this process reaches."""
    jvm: Any = getattr(spark, "_jvm", None)
    if jvm is None:
        return False
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        jvm.java.lang.Class.forName("org.apache.spark.sql.delta.DeltaLog", False, loader)
    except Exception:  # a bare Java error: the platform's Delta is another
        return False
    return True


def transaction(spark: SparkSession, place: str) -> Any:
    """Return a transaction of Delta's on the latest version of the table in a folder."""
    reached: Any = spark
    log = reached._jvm.org.apache.spark.sql.delta.DeltaLog
    return log.forTable(reached._jsparkSession, place).startTransaction()


def version(spark: SparkSession, place: str) -> int | None:
    """Return the latest version of the table in a folder, or None where there is none."""
    found = int(transaction(spark, place).readVersion())
    return None if found < 0 else found


def identity(spark: SparkSession, place: str) -> tuple[str, int, int] | None:
    """Return the table in a folder by its id, its latest version and when that was committed."""
    begun = transaction(spark, place)
    found = int(begun.readVersion())
    if found < 0:
        return None
    return str(begun.metadata().id()), found, int(begun.snapshot().timestamp())


def forget(spark: SparkSession, place: str) -> None:
    """Let Delta forget what it holds of a table whose log was removed."""
    reached: Any = spark
    path = reached._jvm.org.apache.hadoop.fs.Path(place)
    log = reached._jvm.org.apache.spark.sql.delta.DeltaLog
    log.invalidateCache(reached._jsparkSession, path)
