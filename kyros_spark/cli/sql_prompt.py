"""Ask the tables in SQL: every table by its name, one query or a prompt."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.cli.sql_query import check_reads, functions_named, with_versions
from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import UsageError, first_line
from kyros_spark.operations.sql_function import register_predict

TABLES = (
    "policies",
    "claims",
    "rejects",
    "profiles",
    "prepared",
    "feature_log",
    "models",
    "relativities",
    "predictions",
    "evaluation_metrics",
    "evaluation_factors",
    "evaluation_lift",
    "runs",
)
_SHOWN_ROWS = 100


def answer(spark: SparkSession, config: Config, query: str) -> str:
    """Return a query's rows as text; what it may name, docs/sql.md tells.

    Raises:
        UsageError: the query does not only read, or is not one that Spark can answer.
    """
    try:
        shown: Any = rows_of(spark, config, query)
        return str(shown._show_string(_SHOWN_ROWS, False))
    except PySparkException as error:
        raise UsageError(f"SQL: {first_line(error)}") from error


def rows_of(spark: SparkSession, config: Config, query: str) -> DataFrame:
    """Return the rows of a query that only reads.

    Raises:
        UsageError: the query would write.
    """
    query = query.strip().rstrip(";")
    check_reads(query)
    _name_tables(spark, config)
    for name, model in functions_named(query).items():
        register_predict(spark, config, model, name)
    return spark.sql(with_versions(query, TABLES, DeltaTables(spark, config.tables).reference))


def views(spark: SparkSession, config: Config) -> str:
    """Return the statements that give another SQL prompt the tables by name."""
    tables = DeltaTables(spark, config.tables)
    return "".join(
        f"CREATE OR REPLACE TEMPORARY VIEW {name} AS SELECT * FROM {tables.reference(name)};\n"
        for name in TABLES
        if tables.find(name) is not None
    )


def prompt(spark: SparkSession, config: Config) -> None:
    """Read queries from the terminal until it ends or says exit."""
    found = _name_tables(spark, config)
    _say(f"tables: {', '.join(found) or 'none yet; run the stages first'}")
    _say("functions: kyros_predict_MODEL(FEATURES); DESCRIBE FUNCTION tells which")
    _say("a query ends with ';'. exit; or Ctrl-D leaves.")
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives the prompt its history)
    query = ""
    while True:
        try:
            query += input("kyros> " if not query else "     > ") + "\n"
        except EOFError:
            return
        if query.strip().rstrip(";").lower() in ("exit", "quit"):
            return
        if not query.rstrip().endswith(";"):
            continue
        try:
            _say(answer(spark, config, query))
        except UsageError as error:
            _say(str(error))
        query = ""


def _name_tables(spark: SparkSession, config: Config) -> list[str]:
    tables = DeltaTables(spark, config.tables)
    found = {name: table for name in TABLES if (table := tables.find(name)) is not None}
    for name, table in found.items():
        table.createOrReplaceTempView(name)
    return list(found)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
