"""Convert raw values to their declared types; no value becomes NULL unnoticed."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.conversions import converted_sql
from kyros_spark.transforms.repairs import respelled_sql, with_repairs, with_rows_repaired
from kyros_spark.transforms.values import RAW, present_sql


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
    """Return a value in its declared type, respelled if it is a text."""
    typed = converted_sql(present_sql(name, column), column, raw_type)
    return respelled_sql(typed, column) if column.type == "string" else typed
