"""Answer a query of the tables, each under its own name."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.cli.sql.earned import EARNED, WHY_NOT, earned_sql
from kyros_spark.cli.sql.formats import format_of, write_parquet, write_text
from kyros_spark.cli.sql.guard import SqlGuard
from kyros_spark.cli.sql.query import (
    as_query,
    check_reads,
    functions_named,
    is_describing,
    with_versions,
)
from kyros_spark.cli.sql.summary import summarised, summary
from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import UsageError
from kyros_spark.foreign_errors import first_line, is_from_the_jvm, java_cause, spark_is_gone
from kyros_spark.operations.explain_function import register_explain
from kyros_spark.operations.sql_function import register_predict
from kyros_spark.spark.session import setting
from kyros_spark.tables.all import TABLE_NAMES

_EXPLAIN = re.compile(r"\s*EXPLAIN\b", re.IGNORECASE)
_EARNED = re.compile(rf"\b{EARNED}\b", re.IGNORECASE)
_REGISTER = {"predict": register_predict, "explain": register_explain}


def answer(spark: SparkSession, config: Config, query: str, kind: str = "table") -> str:
    """Return the rows of a query as text; docs/sql.md lists what a query may name.

    kind: one of `FORMATS` but parquet. A table shows the first 100 rows, the others show all.

    Raises:
        UsageError: the query would not only read, or Spark cannot answer it.
    """
    with _named_errors():
        rows = _asked_rows(spark, config, query)
        if _EXPLAIN.match(query) and kind == "table":
            return "\n".join(str(row[0]) for row in rows.collect()) + "\n"
        out = io.StringIO(newline="")
        write_text(rows, kind, out)
        return out.getvalue()


def stream_answer(spark: SparkSession, config: Config, query: str, kind: str, out: TextIO) -> None:
    """Write all rows of a query to a stream as they come. kind: csv, json or markdown."""
    with _named_errors():
        write_text(_asked_rows(spark, config, query), kind, out)


def write_answer(
    spark: SparkSession, config: Config, query: str, kind: str | None, file: str
) -> str:
    """Write all rows of a query to a file, and say how many there are.

    A file of that name is replaced once the new one is complete. kind: None for that of its ending.

    Raises:
        UsageError: the query would not only read, Spark cannot answer it, or the file cannot be
            written.
    """
    format_name, target = format_of(kind, file), Path(file)
    with _named_errors():
        rows = _asked_rows(spark, config, query)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            count = _write_file(rows, format_name, part)
            part.replace(target)
        except OSError as error:
            raise UsageError(
                f"--out {file}: expected a file that can be written, found {error.strerror}"
            ) from error
        finally:
            part.unlink(missing_ok=True)
    return f"{'the first rows' if count is None else f'{count:,} rows'} written to {file}"


def _write_file(rows: DataFrame, kind: str, path: Path) -> int | None:
    if kind == "parquet":
        return write_parquet(rows, path)
    with path.open("w", encoding="utf-8", newline="") as out:
        return write_text(rows, kind, out)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        raise UsageError(f"SQL: {first_line(error)}") from error
    except Exception as error:
        # Rows that come part by part fail in a call to the JVM, whose error Spark does not convert.
        if not is_from_the_jvm(error) or spark_is_gone(error):
            raise
        causes = re.findall(r"^Caused by: [\w.$]+: (.+)$", str(error), re.MULTILINE)
        raise UsageError(f"SQL: {causes[-1] if causes else java_cause(error)}") from error


def _asked_rows(spark: SparkSession, config: Config, query: str) -> DataFrame:
    if (inner := summarised(query)) is not None:
        return summary(rows_of(spark, config, inner))
    return rows_of(spark, config, query)


def rows_of(spark: SparkSession, config: Config, query: str) -> DataFrame:
    """Return the rows of a query that only reads the portfolio's tables.

    Raises:
        UsageError: the query would do anything else.
    """
    query = query.strip().rstrip(";")
    tables = register_views(spark, config, with_earned=_EARNED.search(query) is not None)
    delta_tables = DeltaTables(spark, config.tables)
    resolved = with_versions(query, TABLE_NAMES, delta_tables.reference)
    functions, guard = functions_named(query), None
    if getattr(spark, "_jsparkSession", None) is not None:
        references = [delta_tables.reference_parts(name) for name in tables if name != EARNED]
        guard = SqlGuard(spark, tables, references)
        has_rows = _check_parsed(guard, resolved, functions)
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


def _check_parsed(guard: SqlGuard, query: str, functions: Collection[str]) -> bool:
    try:
        return guard.check_parsed(query, functions)
    except UsageError as error:
        if f"found {EARNED}, which is none" in str(error):
            raise UsageError(WHY_NOT) from error
        raise


def views(spark: SparkSession, config: Config) -> str:
    """Return the statements that name the tables in another SQL prompt."""
    tables = DeltaTables(spark, config.tables)
    queries = {
        name: f"SELECT * FROM {tables.reference(name)}"
        for name in TABLE_NAMES
        if tables.find(name) is not None
    }
    earned = earned_sql(config, queries)
    if earned is not None:
        queries[EARNED] = earned
    return "".join(
        f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {query};\n" for name, query in queries.items()
    )


def register_views(
    spark: SparkSession, config: Config, *, with_earned: bool = True
) -> dict[str, DataFrame]:
    """Make a view of every table that exists, and return the tables by name.

    with_earned: make the view `earned` too, if the settings say when policies are covered.
    """
    tables = DeltaTables(spark, config.tables)
    existing = {name: table for name in TABLE_NAMES if (table := tables.find(name)) is not None}
    for name, table in existing.items():
        table.createOrReplaceTempView(name)
    query = earned_sql(config, existing) if with_earned else None
    if query is not None:
        existing[EARNED] = spark.sql(query)
        existing[EARNED].createOrReplaceTempView(EARNED)
    return existing
