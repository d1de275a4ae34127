"""Hold a replacing write to the one batch whose rows it may remove, before it is committed.

The caller says which batch; the condition, the files and the rows of the write are checked against
that, each as what commits it sees it. A mistake in a condition then ends in an error, where it
would otherwise end in the loss of another batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.delta import log as delta_log
from kyros_spark.errors import OtherBatchError
from kyros_spark.tables.contract import BATCH_ID, Table

_COLUMN = BATCH_ID.name


def check_given(table: Table, batch: str | None) -> None:
    """Refuse a write without a batch into a table whose rows belong to batches.

    Raises:
        OtherBatchError: nothing was written.
    """
    if batch is None and (table.key[:1] == (_COLUMN,) or _COLUMN in table.partition_by):
        raise _refusal(table.name, "the batch that it is for", "none")


def check_condition(
    spark: SparkSession,
    table: Table,
    sql: str,
    batch: str | None,
    find: Callable[[str], DataFrame | None],
) -> None:
    """Refuse a condition that may hold for a row of another batch, as Spark's own parser reads it.

    One of its parts, all of which must hold, has to name this batch and no other. Without a JVM to
    parse it (Spark Connect), the table's rows are asked.
    find: returns a table's rows by its name.

    Raises:
        OtherBatchError: it names no batch, or another one; nothing was written.
    """
    if batch is None:
        return
    if getattr(spark, "_jsparkSession", None) is not None:
        named = [batches for part in _parts(delta_log.condition(spark, sql))
                 if (batches := _batches_of(part)) is not None]  # fmt: skip
        if {batch} not in named:
            raise _refusal(table.name, f"a condition on batch '{batch}' alone", sql)
    elif (rows := find(table.name)) is not None:
        others = rows.where(sql).where(~F.col(_COLUMN).eqNullSafe(F.lit(batch)))
        if row := others.select(_COLUMN).first():
            raise _refusal(table.name, f"rows of batch '{batch}'", f"one of batch '{row[0]}'")


def check_files(table: str, partitions: Iterable[Mapping[str, str | None]], batch: str) -> None:
    """Refuse to remove files of another batch. partitions: each file's values by column.

    Raises:
        OtherBatchError: nothing was committed.
    """
    for values in partitions:
        if values.get(_COLUMN) != batch:
            raise _refusal(table, f"files of batch '{batch}'", f"batch '{values.get(_COLUMN)}'")


def check_rows(table: str, rows: pa.Table, batch: str) -> None:
    """Refuse to remove or add rows of another batch.

    Raises:
        OtherBatchError: nothing was committed.
    """
    others = [label for label in pc.unique(rows[_COLUMN]).to_pylist() if label != batch]
    if others:
        raise _refusal(table, f"rows of batch '{batch}'", f"batch '{others[0]}'")


def _parts(expression: Any) -> Iterator[Any]:
    """Yield the expressions that must all hold for this one to hold."""
    if _kind(expression) != "And":
        yield expression
        return
    for child in _children(expression):
        yield from _parts(child)


def _batches_of(expression: Any) -> set[str] | None:
    """Return the batches that an expression allows; None if it is of another form."""
    if _kind(expression) not in ("EqualTo", "In"):
        return None
    column, *values = _children(expression)
    if _kind(column) != "UnresolvedAttribute" or str(column.name()) != _COLUMN:
        return None
    if any(_kind(v) != "Literal" or v.dataType().typeName() != "string" for v in values):
        return None
    return {str(value.value().toString()) for value in values}


def _kind(expression: Any) -> str:
    return str(expression.getClass().getSimpleName())


def _children(expression: Any) -> list[Any]:
    children = expression.children()
    return [children.apply(n) for n in range(children.size())]


def _refusal(table: str, expected: str, finding: str) -> OtherBatchError:
    return OtherBatchError(
        f"table {table}: expected the write to reach {expected}, found {finding}; nothing was "
        "written: this is a mistake of kyros itself, please report it"
    )
