"""Summarise a query column by column, as DuckDB's SUMMARIZE does."""

from __future__ import annotations

import re

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DecimalType,
    MapType,
    NumericType,
    StructType,
)

_SUMMARIZE = re.compile(r"\s*SUMMARI[SZ]E\s+(?P<query>.+)", re.IGNORECASE | re.DOTALL)
_ONE_WORD = re.compile(r"\w+\s*\Z")
_TEXTS = ("min", "median", "mean", "max")
_SCHEMA = (
    "column STRING, type STRING, rows BIGINT, missing BIGINT, distinct BIGINT, "
    + ", ".join(f"{name} STRING" for name in _TEXTS)
)  # fmt: skip


def summarised(text: str) -> str | None:
    """Return the query that a SUMMARIZE is about, or None if the text is something else."""
    match = _SUMMARIZE.match(text.strip().rstrip(";"))
    if match is None:
        return None
    query = match["query"]
    return f"SELECT * FROM {query}" if _ONE_WORD.match(query) else query


def summary(rows: DataFrame) -> DataFrame:
    """Return one row per column: type, rows, missing, distinct, min, median, mean, max.

    distinct and median are approximate (HyperLogLog++ within 5 %, Greenwald-Khanna within 1 %).
    What a type has no order or mean for is NULL. The rows are read once.
    """
    session, fields = rows.sparkSession, list(rows.schema.fields)
    numbered = rows.toDF(*(f"c{n}" for n in range(len(fields))))
    counts = [F.count(F.lit(1)).alias("rows")]
    for n, field in enumerate(fields):
        counts += _measures(f"c{n}", field.dataType)
    totals = numbered.agg(*counts).first()
    assert totals is not None  # an aggregate without groups has one row
    return session.createDataFrame(
        [
            (
                field.name, field.dataType.simpleString(), totals["rows"],
                totals["rows"] - totals[f"c{n}_known"], totals[f"c{n}_distinct"],
                *(totals[f"c{n}_{name}"] for name in _TEXTS),
            )
            for n, field in enumerate(fields)
        ],
        _SCHEMA,
    )  # fmt: skip


def _measures(name: str, kind: DataType) -> list[F.Column]:
    column, nothing = F.col(name), F.lit(None).cast("STRING")
    nested = isinstance(kind, ArrayType | MapType | StructType)
    is_number = isinstance(kind, NumericType | DecimalType)
    measures = {
        "known": F.count(column),
        "distinct": F.lit(None).cast("BIGINT") if nested else F.approx_count_distinct(column),
        "min": nothing if nested else F.min(column).cast("STRING"),
        "max": nothing if nested else F.max(column).cast("STRING"),
        "median": F.percentile_approx(column, 0.5, 100).cast("STRING") if is_number else nothing,
        "mean": F.avg(column).cast("STRING") if is_number else nothing,
    }
    if isinstance(kind, BooleanType):
        measures["mean"] = F.avg(column.cast("INT")).cast("STRING")
    return [measure.alias(f"{name}_{label}") for label, measure in measures.items()]
