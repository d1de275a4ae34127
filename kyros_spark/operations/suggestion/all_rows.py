"""See in all rows what a sample only suggests: bounds, levels, copies, keys, what no type takes.

Values are read by the SQL that clean reads them by, so that the data pass the bounds they give.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ColumnSettings
from kyros_spark.operations.suggestion.guess import MAX_ALLOWED, Guess
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.conversions import converted_sql
from kyros_spark.transforms.repairs import respelled_sql
from kyros_spark.transforms.values import RAW, present_sql


def count_all(frame: DataFrame, columns: Sequence[Guess], rows: int) -> dict[str, int]:
    """Set bounds, levels and required of all rows, in one pass.

    rows: how many there are.
    Returns the rows whose value is not of the guessed type, by column name.
    """
    raw = frame.select(
        F.struct(*(F.col(quoted(c.source)).alias(c.name) for c in columns)).alias(RAW)
    )
    types = {c.name: frame.schema[c.source].dataType for c in columns}
    reads = []
    for column in columns:
        settings = ColumnSettings.model_validate(
            {"type": column.type, "missing": column.missing, "trim": column.trim,
             "format": column.format, "decimal": column.decimal}
        )  # fmt: skip
        present = present_sql(column.name, settings)
        value = converted_sql(present, settings, types[column.name])
        if column.type == "string":
            value = respelled_sql(value, settings)
        reads += [f"{value} AS {quoted(column.name)}", f"{present} AS {quoted('_' + column.name)}"]
    wanted = [a for n, c in enumerate(columns) for a in _aggregates(c, n)]
    result = raw.selectExpr(*reads).agg(*wanted).first()
    assert result is not None
    unread = {}
    for n, column in enumerate(columns):
        given, known = result[f"present_{n}"], result[f"known_{n}"]
        if known < given:
            unread[column.name] = given - known
        column.required = known == rows
        if column.is_number and result[f"least_{n}"] is not None:
            column.low, column.high = result[f"least_{n}"], result[f"most_{n}"]
        if column.levels:
            column.levels = sorted(result[f"levels_{n}"])[: MAX_ALLOWED * 10]
    return unread


def _aggregates(column: Guess, n: int) -> list[Column]:
    value, present = F.col(quoted(column.name)), F.col(quoted(f"_{column.name}"))
    is_present = F.coalesce(F.trim(present.cast("string")) != "", F.lit(False))
    is_read = value.isNotNull() & is_present
    wanted = [F.count_if(is_present).alias(f"present_{n}"), F.count_if(is_read).alias(f"known_{n}")]
    if column.is_number:
        number = value.cast("double")
        wanted += [F.min(number).alias(f"least_{n}"), F.max(number).alias(f"most_{n}")]
    if column.levels:
        wanted.append(F.collect_set(F.when(is_read, value)).alias(f"levels_{n}"))
    return wanted


def copies_and_key(
    frame: DataFrame, candidates: Sequence[Sequence[Guess]], rows: int
) -> tuple[int, list[Guess]]:
    """Return the number of exact copies, and the first candidate key that all rows keep.

    What is unique in a sample may repeat outside it.
    """
    counts = [
        F.count_distinct(*(F.col(quoted(c.source)) for c in key)).alias(f"_{n}")
        for n, key in enumerate(candidates)
    ]
    row = frame.distinct().agg(F.count(F.lit(1)).alias("_rows"), *counts).first()
    assert row is not None
    unique = [list(key) for n, key in enumerate(candidates) if row[f"_{n}"] == row["_rows"]]
    return rows - int(row["_rows"]), unique[0] if unique else []
