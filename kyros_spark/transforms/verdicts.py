"""Turn judged rows into clean rows, rejects and counts."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.rules import REASONS
from kyros_spark.transforms.typed import RAW


def accepted(judged: DataFrame) -> DataFrame:
    """Return the rows that are no copies and broke no rule."""
    return judged.where(~F.col(COPY) & (F.size(REASONS) == 0))


def clean_rows(judged: DataFrame, source: SourceSettings, batch: str, run_id: str) -> DataFrame:
    """Return the accepted rows in the columns of their table."""
    return accepted(judged).select(
        *source.columns, F.lit(batch).alias("batch_id"), F.lit(run_id).alias("run_id")
    )


def rejected_rows(judged: DataFrame, source_name: str, batch: str, run_id: str) -> DataFrame:
    """Return the refused rows in the columns of `rejects`: first reason, all reasons, record."""
    first = F.get(F.col(REASONS), F.lit(0))
    return (
        judged.where(~F.col(COPY) & (F.size(REASONS) > 0))
        .select(
            F.lit(batch).alias("batch_id"),
            F.lit(source_name).alias("source"),
            *(first[name].alias(name) for name in ("rule", "column", "expected", "found")),
            F.col(REASONS).alias("reasons"),
            F.to_json(RAW).alias("record"),
            F.lit(run_id).alias("run_id"),
        )
        .select(*REJECTS.names)
    )


def verdict_counts(judged: DataFrame) -> DataFrame:
    """Return rows by verdict, first rule and column, with one example: a handful of rows."""
    first = F.when(~F.col(COPY), F.get(F.col(REASONS), F.lit(0)))
    return (
        judged.select(
            F.col(COPY).alias("copy"),
            first["rule"].alias("rule"),
            first["column"].alias("column"),
            first["expected"].alias("expected"),
            first["found"].alias("found"),
        )
        .groupBy("copy", "rule", "column", "expected")
        .agg(F.count("*").alias("rows"), F.min("found").alias("example"))
    )
