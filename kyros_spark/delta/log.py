"""Ask open-source Delta's own classes in the JVM, without a query or a Spark job.

Spark Connect has no JVM to ask, and Databricks' Delta has other classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.delta.layout import TableLayout
from kyros_spark.spark.java_class import java_class
from kyros_spark.tables.contract import Column

_PYTHON = "org.apache.spark.api.python.PythonUtils"


def is_reachable(spark: SparkSession) -> bool:
    """Return whether open-source Delta runs in a JVM that this process reaches."""
    if getattr(spark, "_jvm", None) is None:
        return False
    load = _loader(spark)  # outside: a JVM that is gone is no platform of another kind
    try:
        load("org.apache.spark.sql.delta.DeltaLog")
    except Exception:  # a bare Java error: the platform has a Delta of its own
        return False
    return True


def _loader(spark: SparkSession) -> Callable[[str], Any]:
    """Return what gives a class as Java's own object, without its static part being run."""
    loader = java_class(spark, "java.lang.Thread").currentThread().getContextClassLoader()
    classes = java_class(spark, "java.lang.Class")
    return lambda name: classes.forName(name, False, loader)


def transaction(spark: SparkSession, location: str) -> Any:
    """Return a Delta transaction on the latest version of the table in a folder."""
    classic: Any = spark
    log = java_class(spark, "org.apache.spark.sql.delta.DeltaLog")
    return log.forTable(classic._jsparkSession, location).startTransaction()


def layout_of(transaction: Any) -> TableLayout:
    """Return how a transaction's table is described in its log."""
    metadata = json.loads(transaction.metadata().json())["metaData"]
    return TableLayout(metadata, json.loads(transaction.protocol().json())["protocol"])


def layout(spark: SparkSession, location: str) -> TableLayout | None:
    """Return how the table in a folder is described in its log, or None if there is no table."""
    opened = transaction(spark, location)
    return layout_of(opened) if int(opened.readVersion()) >= 0 else None


def folder(spark: SparkSession, location: str) -> str:
    """Return a table's folder as Hadoop qualifies it."""
    classic: Any = spark
    path = java_class(spark, "org.apache.hadoop.fs.Path")(location)
    system = path.getFileSystem(classic._jsparkSession.sessionState().newHadoopConf())
    return str(system.makeQualified(path).toString())


def sequence(spark: SparkSession, values: list[Any]) -> Any:
    """Return values as a Scala sequence."""
    return java_class(spark, _PYTHON).toSeq(values)


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


def forget(spark: SparkSession, location: str) -> None:
    """Clear Delta's cache of a table whose log was removed."""
    classic: Any = spark
    path = java_class(spark, "org.apache.hadoop.fs.Path")(location)
    log = java_class(spark, "org.apache.spark.sql.delta.DeltaLog")
    log.invalidateCache(classic._jsparkSession, path)


def action(spark: SparkSession, kind: str, content: Mapping[str, Any]) -> Any:
    """Return an entry of the log, given as its JSON object, as Delta's own class."""
    actions = java_class(spark, "org.apache.spark.sql.delta.actions.Action")
    return actions.fromJson(json.dumps({kind: content}))


def condition(spark: SparkSession, sql: str) -> Any:
    """Return a SQL condition as Spark's own class."""
    classic: Any = spark
    return classic._jsparkSession.sessionState().sqlParser().parseExpression(sql)


def column(spark: SparkSession, column: Column) -> dict[str, Any]:
    """Return a contract's column as Delta's JSON describes it."""
    kind = java_class(spark, "org.apache.spark.sql.types.DataType").fromDDL(column.type)
    return {
        "name": column.name,
        "type": json.loads(kind.json()),
        "nullable": True,
        "metadata": {"comment": column.comment},
    }


def write_operation(
    spark: SparkSession, mode: str, partition_by: list[str], where: str | None, run_id: str
) -> Any:
    """Return what Delta's history calls the commit; later releases of Delta have more options."""
    name = "org.apache.spark.sql.delta.DeltaOperations$Write"
    constructor = _loader(spark)(name).getConstructors()[0]
    option = java_class(spark, "scala.Option")
    some, none = option.apply, option.empty()
    options = [
        getattr(java_class(spark, "org.apache.spark.sql.SaveMode"), mode),
        some(sequence(spark, partition_by)),
        some(where) if where is not None else none,
        some(run_id),
    ]
    options += [none] * (constructor.getParameterCount() - len(options))
    return java_class(spark, name)(*options)


def report(spark: SparkSession, transaction: Any, numbers: Mapping[str, int]) -> None:
    """Give a transaction's commit its metrics."""
    classic: Any = spark
    metrics = java_class(spark, "java.util.HashMap")()
    made = java_class(spark, "org.apache.spark.sql.execution.metric.SQLMetrics")
    for name, number in numbers.items():
        metric = made.createMetric(classic._jsc.sc(), name)
        metric.set(number)
        metrics.put(name, metric)
    as_map = java_class(spark, _PYTHON).toScalaMap(metrics)
    transaction.registerSQLMetrics(classic._jsparkSession, as_map)
