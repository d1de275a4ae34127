"""Query the tables in SQL, each by its name, with one query or at a prompt."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.cli.sql_query import check_reads, functions_named, with_versions
from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import UsageError
from kyros_spark.foreign_errors import first_line
from kyros_spark.operations.explain_function import register_explain
from kyros_spark.operations.sql_function import register_predict
from kyros_spark.tables.all import TABLE_NAMES

_SHOWN_ROWS = 100
_REGISTER = {"predict": register_predict, "explain": register_explain}


def answer(spark: SparkSession, config: Config, query: str) -> str:
    """Return the rows of a query as text; docs/sql.md lists what a query may name.

    Raises:
        UsageError: the query would write, or Spark cannot answer it.
    """
    try:
        rows: Any = rows_of(spark, config, query)
        return str(rows._show_string(_SHOWN_ROWS, False))
    except PySparkException as error:
        raise UsageError(f"SQL: {first_line(error)}") from error


def rows_of(spark: SparkSession, config: Config, query: str) -> DataFrame:
    """Return the rows of a query that only reads.

    Raises:
        UsageError: the query would write.
    """
    query = query.strip().rstrip(";")
    check_reads(query)
    _register_views(spark, config)
    for name, (kind, model) in functions_named(query).items():
        _REGISTER[kind](spark, config, model, name)
    reference = DeltaTables(spark, config.tables).reference
    return spark.sql(with_versions(query, TABLE_NAMES, reference))


def views(spark: SparkSession, config: Config) -> str:
    """Return the statements that name the tables in another SQL prompt."""
    tables = DeltaTables(spark, config.tables)
    return "".join(
        f"CREATE OR REPLACE TEMPORARY VIEW {name} AS SELECT * FROM {tables.reference(name)};\n"
        for name in TABLE_NAMES
        if tables.find(name) is not None
    )


def prompt(spark: SparkSession, config: Config) -> None:
    """Answer queries from the terminal until its input ends or is `exit`."""
    names = _register_views(spark, config)
    _say(f"tables: {', '.join(names) or 'none yet; run the stages first'}")
    _say("functions: kyros_predict_MODEL(FEATURES), kyros_explain_MODEL(FEATURES)")
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


def _register_views(spark: SparkSession, config: Config) -> list[str]:
    """Make a view of every table that exists, and return their names."""
    tables = DeltaTables(spark, config.tables)
    existing = {name: table for name in TABLE_NAMES if (table := tables.find(name)) is not None}
    for name, table in existing.items():
        table.createOrReplaceTempView(name)
    return list(existing)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
