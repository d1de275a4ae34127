"""Turn judged rows into clean rows, rejects and counts."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.rules import BROKEN, Rule, reasons
from kyros_spark.transforms.typed import RAW

_REFUSED = f"NOT {COPY} AND size({BROKEN}) > 0"


def for_verdicts(judged: DataFrame, source: SourceSettings) -> DataFrame:
    """Return what a verdict needs: typed columns, marks, and the record where it is refused."""
    raw = F.expr(f"CASE WHEN {_REFUSED} THEN {RAW} END").alias(RAW)
    return judged.select(*source.columns, COPY, BROKEN, raw)


def accepted(judged: DataFrame) -> DataFrame:
    """Return the rows that are no copies and broke no rule."""
    return judged.where(f"NOT {COPY} AND size({BROKEN}) = 0")


def clean_rows(judged: DataFrame, source: SourceSettings, batch: str, run_id: str) -> DataFrame:
    """Return the accepted rows in the columns of their table."""
    return accepted(judged).select(
        *source.columns, F.lit(batch).alias("batch_id"), F.lit(run_id).alias("run_id")
    )


def rejected_rows(
    judged: DataFrame, rules: Sequence[Rule], source_name: str, batch: str, run_id: str
) -> DataFrame:
    """Return the refused rows in the columns of `rejects`: first reason, all reasons, record."""
    told = judged.where(_REFUSED).select(RAW, reasons(rules).alias("reasons"))
    first = (f"reasons[0].{name} AS `{name}`" for name in ("rule", "column", "expected", "found"))
    return told.select(
        F.lit(batch).alias("batch_id"),
        F.lit(source_name).alias("source"),
        *map(F.expr, first),
        "reasons",
        F.to_json(RAW).alias("record"),
        F.lit(run_id).alias("run_id"),
    ).select(*REJECTS.names)


def verdict_counts(judged: DataFrame) -> DataFrame:
    """Return rows by verdict: `copy`, and `rule`, the number of the first that was broken."""
    first = f"CASE WHEN {_REFUSED} THEN {BROKEN}[0] END AS rule"
    return judged.selectExpr(f"{COPY} AS copy", first).groupBy("copy", "rule").count()


def examples(judged: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Return one thing found by each rule that was the first to be broken: `rule`, `found`."""
    told = judged.where(_REFUSED).select(BROKEN, reasons(rules)[0]["found"].alias("found"))
    return told.groupBy(F.expr(f"{BROKEN}[0]").alias("rule")).agg(F.min("found").alias("found"))
