"""Ask the tables in SQL: every table by its name, one query or a prompt."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta import Tables
from kyros_spark.errors import UsageError, first_line

TABLES = (
    "policies",
    "claims",
    "rejects",
    "prepared",
    "feature_log",
    "models",
    "predictions",
    "evaluation_metrics",
    "evaluation_factors",
    "evaluation_lift",
    "runs",
)
_SHOWN_ROWS = 100


def answer(spark: SparkSession, config: Config, query: str) -> str:
    """Return a query's rows as text.

    Raises:
        UsageError: the query is not one that Spark can answer.
    """
    _name_tables(spark, config)
    try:
        shown: Any = spark.sql(query.strip().rstrip(";"))
        return str(shown._show_string(_SHOWN_ROWS, False))
    except PySparkException as error:
        raise UsageError(f"SQL: {first_line(error)}") from error


def prompt(spark: SparkSession, config: Config) -> None:
    """Read queries from the terminal until it ends or says exit."""
    found = _name_tables(spark, config)
    _say(f"tables: {', '.join(found) or 'none yet; run the stages first'}")
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
    tables = Tables(spark, config.tables)
    found = {name: table for name in TABLES if (table := tables.find(name)) is not None}
    for name, table in found.items():
        table.createOrReplaceTempView(name)
    return list(found)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
