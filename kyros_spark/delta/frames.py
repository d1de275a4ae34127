"""Turn rows that the driver holds into a DataFrame of a table's contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.delta.arrow_rows import arrow_as_rows
from kyros_spark.spark.arrow_frames import frame_of
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import quoted


def rows_as_frame(
    spark: SparkSession, table: Table, rows: Iterable[Mapping[str, Any]]
) -> DataFrame:
    """Return rows (column name -> value) as one partition of the table's columns, in its order.

    A column that a row lacks is NULL; a value under any other name is left out. Without rows the
    frame is empty.
    """
    schema = ", ".join(f"{quoted(column.name)} {column.type}" for column in table.columns)
    values = [tuple(row.get(name) for name in table.names) for row in rows]
    return spark.createDataFrame(values, schema).coalesce(1)


def arrow_as_frame(
    spark: SparkSession, table: Table, batches: Iterable[pa.Table | pa.RecordBatch]
) -> DataFrame:
    """Return rows that the driver holds as Arrow as a DataFrame of the table's columns."""
    batches = list(batches)
    if has_to_arrow(spark.version) and batches:  # such a Spark takes Arrow, too
        parts = [b if isinstance(b, pa.Table) else pa.Table.from_batches([b]) for b in batches]
        frame = frame_of(spark, pa.concat_tables(parts))
        columns = (
            (F.col(quoted(c.name)) if c.name in frame.columns else F.lit(None)).cast(c.type)
            for c in table.columns
        )
        named = zip(columns, table.names, strict=True)
        return frame.select(*(column.alias(name) for column, name in named)).coalesce(1)
    values = (row for batch in batches for row in arrow_as_rows(batch))
    return rows_as_frame(spark, table, values)
