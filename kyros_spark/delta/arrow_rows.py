"""Turn rows that the driver holds into Arrow, of the types that a Delta table's files have."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import Row

from kyros_spark.errors import TableConstraintError
from kyros_spark.tables.contract import Table

_ROUNDED = Context(prec=80, rounding=ROUND_HALF_UP)  # twice the digits of the largest decimal


def rows_as_arrow(table: Table, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows (column name -> value) as an Arrow table of a schema.

    A column that a row lacks is NULL; a value under any other name is left out.

    Raises:
        TableConstraintError: a value is not of its column's type.
    """
    rows = list(rows)
    columns = []
    for field in schema:
        try:
            values = [_converted(row.get(field.name), field.type) for row in rows]
            columns.append(pa.array(values, field.type))
        except (pa.ArrowException, TypeError, ValueError, ArithmeticError) as error:
            raise _refusal(table, field, error) from error
    return pa.table(columns, schema=schema)


def _converted(value: Any, kind: pa.DataType) -> Any:
    """Return a value as Arrow takes it where the DataFrame writer would have taken it too."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind):  # a naive one is of this machine's time zone, as to Spark
        return value.astimezone(UTC) if isinstance(value, datetime) else value
    if pa.types.is_string(kind):  # half of a surrogate pair cannot be stored
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    if pa.types.is_integer(kind):  # Arrow would cut a fraction off
        return operator.index(value)
    if pa.types.is_floating(kind):
        return float(value) if isinstance(value, int) else value
    if pa.types.is_decimal(kind):
        step = Decimal(1).scaleb(-kind.scale)
        return value.quantize(step, context=_ROUNDED) if isinstance(value, Decimal) else value
    if pa.types.is_map(kind):
        return [(_converted(k, kind.key_type), _converted(v, kind.item_type))
                for k, v in dict(value).items()]  # fmt: skip
    if pa.types.is_list(kind):
        return [_converted(element, kind.value_type) for element in value]
    if pa.types.is_struct(kind):
        members = value.asDict() if isinstance(value, Row) else value
        return {field.name: _converted(members.get(field.name), field.type) for field in kind}
    return value


def arrow_as_table(table: Table, rows: pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return Arrow rows as a table of a schema; a missing column is NULL.

    Raises:
        TableConstraintError: a column is not of its type.
    """
    columns = []
    for field in schema:
        if field.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        try:
            columns.append(rows.column(field.name).cast(field.type))
        except pa.ArrowException as error:
            raise _refusal(table, field, error) from error
    return pa.table(columns, schema=schema)


def _refusal(table: Table, field: pa.Field, error: Exception) -> TableConstraintError:
    return TableConstraintError(
        f"table {table.name}, column {field.name}: expected {field.type}, found a value that is "
        f"not ({error}); nothing was written"
    )


def arrow_as_rows(rows: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows as Python values, maps as dicts.

    Arrow has a map as pairs; only later releases than Spark 3.5's platforms have can change that.
    """
    maps = [field.name for field in rows.schema if pa.types.is_map(field.type)]
    return [
        row | {name: dict(row[name]) for name in maps if row[name] is not None}
        for row in rows.to_pylist()
    ]
