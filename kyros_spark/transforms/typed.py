"""Convert raw values to their declared types; no value becomes NULL unnoticed."""

from __future__ import annotations

import sys

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, FractionalType, StringType, StructType

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.repairs import respelled_sql, with_repairs, with_rows_repaired
from kyros_spark.transforms.values import RAW, present_sql

_PATTERNS = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}
# Conditions on the characters of yyyy-MM-dd, by position.
_ISO = {5: ["= '-'"], 8: ["= '-'"], 10: [">= '0'", "<= '9'"]}


def with_raw_record(raw: DataFrame) -> DataFrame:
    """Return the raw columns as one struct, so that typed columns can take their names."""
    return raw.select(F.struct(*raw.columns).alias(RAW))


def with_typed_columns(raw: DataFrame, source: SourceSettings) -> DataFrame:
    """Add every declared column, typed and repaired; derived columns use repaired values."""
    struct = raw.schema[RAW].dataType
    assert isinstance(struct, StructType)
    types = {field.name: field.dataType for field in struct.fields}
    read = [name for name, column in source.columns.items() if column.sql is None]
    values = (f"{_typed(n, source.columns[n], types[n])} AS {quoted(n)}" for n in read)
    typed = with_repairs(raw.selectExpr("*", *values), source, read)
    for name, column in source.columns.items():
        if column.sql is not None:
            typed = typed.withColumn(name, F.expr(column.sql).cast(sql_type(column.type)))
            typed = with_repairs(typed, source, [name])
    return with_rows_repaired(typed, source.rules)


def _typed(name: str, column: ColumnSettings, raw_type: DataType) -> str:
    """Return a value in its declared type, as one SQL text rather than many calls."""
    target = sql_type(column.type)
    value = present_sql(name, column)
    is_text = isinstance(raw_type, StringType)
    if target == "string":
        return respelled_sql(f"CAST({value} AS STRING)", column)
    if is_text and target in _PATTERNS:
        if target == "date" and column.format is None:
            return _iso_date(f"trim({value})")
        # An explicit pattern, since a cast would read '2004' as the first of January.
        pattern = text(column.format or _PATTERNS[target])
        return f"CAST(try_to_timestamp(trim({value}), {pattern}) AS {target})"
    # try_cast gives NULL where a cast raises (ANSI) or gives NULL (older): equal on every Spark.
    cast = f"try_cast({f'trim({value})' if is_text else value} AS {target})"
    if target in ("int", "bigint") and isinstance(raw_type, FractionalType):
        return f"CASE WHEN {value} = floor({value}) THEN {cast} END"  # 3.7 is not the integer 3
    if target == "double":
        # Spark orders NaN, like infinity, above every finite number: both fail this test.
        return f"CASE WHEN abs({cast}) <= {sys.float_info.max!r}D THEN {cast} END"
    return cast


def _iso_date(value: str) -> str:
    """Return a date that is written as yyyy-MM-dd, else NULL.

    A cast alone also accepts '2004', '2004-1' and '2004-01-01 noon', so the form is checked first.
    Parsing by a pattern takes five times as long as both steps.
    """
    # No BETWEEN: Spark would give its operand an extra projection, and copy each row once more.
    shape = " AND ".join(
        f"substring({value}, {n}, 1) {test}" for n, tests in _ISO.items() for test in tests
    )
    return (
        f"CASE WHEN length({value}) = 10 AND {value} >= '0001' AND {shape} "
        f"THEN try_cast({value} AS DATE) END"
    )
