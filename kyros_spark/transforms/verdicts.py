"""Turn judged rows into clean rows, rejects and counts."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.profile import totals
from kyros_spark.transforms.reference import PERIOD
from kyros_spark.transforms.rules import BROKEN, NOTED, Rule, broken_sql, reasons
from kyros_spark.transforms.values import RAW, as_read

_REFUSED = f"NOT {COPY} AND {BROKEN} IS NOT NULL"


def with_verdicts(typed: DataFrame, source: SourceSettings, rules: Sequence[Rule]) -> DataFrame:
    """Judge typed rows; keep their columns and marks, and the record of refused rows only.

    All is done in one projection. The rules make it too large for Spark to compile together with
    its neighbours, and each further projection would copy every row and its record once more.
    """
    refused, broken = broken_sql(rules, refusing=True)
    _, noted = broken_sql(rules, refusing=False)
    read = [as_read(name) for name in typed.columns if as_read(name) in typed.columns]
    read += [name for name in PERIOD if name in typed.columns]
    return typed.selectExpr(
        *map(quoted, (*source.columns, *read, COPY)),
        f"{broken} AS {BROKEN}",
        f"{noted} AS {NOTED}",
        f"CASE WHEN {refused} THEN CASE WHEN NOT {COPY} THEN {RAW} END END AS {RAW}",
    )


def accepted(judged: DataFrame) -> DataFrame:
    """Return the rows that are not copies and broke no refusing rule."""
    return judged.where(f"NOT {COPY} AND {BROKEN} IS NULL")


def clean_rows(judged: DataFrame, source: SourceSettings, batch: str, run_id: str) -> DataFrame:
    """Return the accepted rows as their table holds them; the excess above a cap is separate."""
    capped = {n: f"least({quoted(n)}, {cap!r}D)" for n, cap in caps(source).items()}
    values = (f"{capped.get(n, quoted(n))} AS {quoted(n)}" for n in source.columns)
    excess = (f"round(greatest({quoted(n)} - {c!r}D, 0D), 6) AS {quoted(f'{n}_excess')}"
              for n, c in caps(source).items())  # fmt: skip
    return accepted(judged).selectExpr(
        *values, *excess, f"{text(batch)} AS batch_id", f"{text(run_id)} AS run_id"
    )


def caps(source: SourceSettings) -> dict[str, float]:
    """Return the cap of each amount that has one."""
    return {name: a.cap for name, a in source.amounts.items() if a.cap is not None}


def rejected_rows(
    judged: DataFrame, rules: Sequence[Rule], source_name: str, batch: str, run_id: str
) -> DataFrame:
    """Return the refused rows in the columns of `rejects`: first reason, all reasons, record."""
    refused = judged.where(_REFUSED).select(RAW, reasons(rules).alias("reasons"))
    first = (f"reasons[0].{name} AS `{name}`" for name in ("rule", "column", "expected", "found"))
    return refused.select(
        F.lit(batch).alias("batch_id"),
        F.lit(source_name).alias("source"),
        *map(F.expr, first),
        "reasons",
        F.to_json(RAW).alias("record"),
        F.lit(run_id).alias("run_id"),
    ).select(*REJECTS.names)


def verdict_counts(
    judged: DataFrame, source: SourceSettings, rules: Sequence[Rule], profiled: bool
) -> DataFrame:
    """Count rows, notes and sums of amounts by verdict: `copy` and `rule`, the first one broken.

    Amounts are added as decimals, each rounded to a millionth, so that sums are exact in any order.
    """
    first = f"CASE WHEN {_REFUSED} THEN {BROKEN}[0] END AS rule"
    noted_rules = [n for n, rule in enumerate(rules) if rule.severity != "reject"]
    noted = [
        F.count_if(F.expr(f"array_contains({NOTED}, {n})")).alias(f"noted_{n}") for n in noted_rules
    ]
    sums = [
        F.sum(F.expr(f"CAST({sql} AS DECIMAL(24, 6))")).alias(f"{kind}_{n}")
        for n, (name, amount) in enumerate(source.amounts.items())
        for kind, sql in _amount_parts(name, amount.cap).items()
    ]
    marked = judged.selectExpr("*", f"{COPY} AS copy", first)
    return marked.groupBy("copy", "rule").agg(
        F.count(F.lit(1)).alias("rows"), *noted, *sums, *(totals(source) if profiled else [])
    )


def _amount_parts(name: str, cap: float | None) -> dict[str, str]:
    value = quoted(name)
    top = value if cap is None else f"least({value}, {cap!r}D)"
    return {"in": as_read(name), "out": top, "excess": f"{value} - {top}"}


def examples(judged: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Return one refused value per rule that was the first to be broken: `rule`, `found`."""
    refused = judged.where(_REFUSED).select(BROKEN, reasons(rules)[0]["found"].alias("found"))
    return refused.groupBy(F.expr(f"{BROKEN}[0]").alias("rule")).agg(F.min("found").alias("found"))
