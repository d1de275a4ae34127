"""Query the tables in SQL, each by its name, with one query or at a prompt."""

from __future__ import annotations

import contextlib
import sys
from contextlib import ExitStack
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.cli.sql_guard import SqlGuard
from kyros_spark.cli.sql_query import (
    as_query,
    check_reads,
    functions_named,
    is_describing,
    with_versions,
)
from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import UsageError
from kyros_spark.foreign_errors import first_line
from kyros_spark.operations.explain_function import register_explain
from kyros_spark.operations.sql_function import register_predict
from kyros_spark.spark.session import setting
from kyros_spark.tables.all import TABLE_NAMES

_SHOWN_ROWS = 100
_REGISTER = {"predict": register_predict, "explain": register_explain}


def answer(spark: SparkSession, config: Config, query: str) -> str:
    """Return the rows of a query as text; docs/sql.md lists what a query may name.

    Raises:
        UsageError: the query would not only read, or Spark cannot answer it.
    """
    try:
        rows: Any = rows_of(spark, config, query)
        return str(rows._show_string(_SHOWN_ROWS, False))
    except PySparkException as error:
        raise UsageError(f"SQL: {first_line(error)}") from error


def rows_of(spark: SparkSession, config: Config, query: str) -> DataFrame:
    """Return the rows of a query that only reads the portfolio's tables.

    Raises:
        UsageError: the query would do anything else.
    """
    query, tables = query.strip().rstrip(";"), _register_views(spark, config)
    delta_tables = DeltaTables(spark, config.tables)
    resolved = with_versions(query, TABLE_NAMES, delta_tables.reference)
    functions, guard = functions_named(query), None
    if getattr(spark, "_jsparkSession", None) is not None:
        references = [delta_tables.reference_parts(name) for name in tables]
        guard = SqlGuard(spark, tables, references)
        has_rows = guard.check_parsed(resolved, functions)
    else:  # Spark Connect
        check_reads(query)
        has_rows = not is_describing(query)
    for name, (kind, model) in functions.items():
        _REGISTER[kind](spark, config, model, name)
    if not has_rows:
        return spark.sql(resolved)
    with ExitStack() as settings:
        if resolved == query:  # a version of a table is read by the table's path
            with contextlib.suppress(PySparkException):  # a platform may allow no change
                settings.enter_context(setting(spark, "spark.sql.runSQLOnFiles", "false"))
        if guard is not None:
            guard.check_analysed(resolved)
        rows = spark.sql(as_query(resolved))
        _ = rows.schema  # only this makes Connect read the query, under the setting
    if guard is not None:
        guard.check_physical(rows)
    return rows


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
        except KeyboardInterrupt:  # the line is dropped, as in a shell
            _say("")
            query = ""
            continue
        if query.strip().rstrip(";").lower() in ("exit", "quit"):
            return
        if not query.rstrip().endswith(";"):
            continue
        try:
            _say(answer(spark, config, query))
        except UsageError as error:
            _say(str(error))
        except KeyboardInterrupt:
            _say("interrupted")
        query = ""


def _register_views(spark: SparkSession, config: Config) -> dict[str, DataFrame]:
    """Make a view of every table that exists, and return the tables by name."""
    tables = DeltaTables(spark, config.tables)
    existing = {name: table for name in TABLE_NAMES if (table := tables.find(name)) is not None}
    for name, table in existing.items():
        table.createOrReplaceTempView(name)
    return existing


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
