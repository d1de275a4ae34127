"""Turn judged rows into clean rows, rejects and counts."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.tables.repairs import REPAIRS
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.profile import sampled_values, totals
from kyros_spark.transforms.reference import PERIOD
from kyros_spark.transforms.repaired_values import BEFORE, kept_for_repairs, repairs_sql
from kyros_spark.transforms.rules import BROKEN, NOTED, REPAIRED, Rule, broken_sql, reasons
from kyros_spark.transforms.values import RAW, as_read, capped_sql, excess_sql

FIRST = "_first"  # the number of the rule for which a row is refused, or NULL
REASONS, RECORD, REPAIRS_OF_ROW = "_reasons", "_record", "_repairs"
_REFUSED = f"NOT {COPY} AND {BROKEN} IS NOT NULL"
_ACCEPTED = f"NOT {COPY} AND {BROKEN} IS NULL"


def with_verdicts(typed: DataFrame, source: SourceSettings, rules: Sequence[Rule]) -> DataFrame:
    """Judge typed rows; keep their columns and marks, the record of refused and repaired rows only.

    All is done in one projection. The rules make it too large for Spark to compile together with
    its neighbours, and each further projection would copy every row and its record once more.
    """
    refused, broken = broken_sql(rules, ("reject",))
    changed, repaired = broken_sql(rules, ("repair",))
    _, noted = broken_sql(rules, ("warn", "fail"))
    read = [as_read(name) for name in typed.columns if as_read(name) in typed.columns]
    read += [name for name in (*PERIOD, *kept_for_repairs(source)) if name in typed.columns]
    return typed.selectExpr(
        *map(quoted, (*source.columns, *read, COPY)),
        f"{broken} AS {BROKEN}",
        f"{noted} AS {NOTED}",
        f"{repaired} AS {REPAIRED}",
        f"CASE WHEN {refused} THEN CASE WHEN NOT {COPY} THEN {RAW} END END AS {RAW}",
        f"CASE WHEN {changed} THEN CASE WHEN NOT {COPY} THEN {RAW} END END AS {BEFORE}",
    )


def accepted(judged: DataFrame) -> DataFrame:
    """Return the rows that are not copies and broke no refusing rule."""
    return judged.where(_ACCEPTED)


def clean_rows(judged: DataFrame, source: SourceSettings, batch: str, run_id: str) -> DataFrame:
    """Return the accepted rows as their table holds them; the excess above a cap is separate."""
    below = _capped_values(source)
    values = (f"{below.get(n, quoted(n))} AS {quoted(n)}" for n in source.columns)
    provenance = (f"{text(batch)} AS batch_id", f"{text(run_id)} AS run_id")
    return accepted(judged).selectExpr(*values, *_excess_values(source), *provenance)


def _capped_values(source: SourceSettings) -> dict[str, str]:
    return {n: capped_sql(quoted(n), cap) for n, cap in caps(source).items()}


def _excess_values(source: SourceSettings) -> list[str]:
    return [
        f"{excess_sql(quoted(n), cap)} AS {quoted(f'{n}_excess')}"
        for n, cap in caps(source).items()
    ]


def rows_for_driver(
    judged: DataFrame, source: SourceSettings, rules: Sequence[Rule], profiled: bool
) -> DataFrame:
    """Return all rows with what the driver needs to count, profile and write them.

    That is the source's columns, COPY, FIRST, NOTED, REPAIRED, the reasons and the record of
    refused rows, the repairs of accepted ones if a rule repairs, the parts of amounts
    (`amount_part`), capped values (`capped`) and excess, and with ``profiled`` what a sample takes.
    """
    refused = F.expr(_REFUSED)
    parts = (
        f"try_cast({sql} AS DECIMAL(24, 6)) AS {amount_part(kind, n)}"
        for n, (name, amount) in enumerate(source.amounts.items())
        for kind, sql in _amount_parts(name, amount.cap).items()
    )
    trail, changed = repairs_sql(source, rules), f"{_ACCEPTED} AND {REPAIRED} IS NOT NULL"
    repairs = None if trail is None else f"CASE WHEN {changed} THEN {trail} END"
    below = (f"{sql} AS {quoted(capped(n))}" for n, sql in _capped_values(source).items())
    return judged.select(
        *(F.col(quoted(name)) for name in source.columns),
        F.col(COPY),
        F.when(refused, F.col(BROKEN)[0]).alias(FIRST),
        F.col(NOTED),
        F.col(REPAIRED),
        F.when(refused, reasons(rules)).alias(REASONS),
        F.when(refused, F.to_json(RAW)).alias(RECORD),
        *([F.expr(repairs).alias(REPAIRS_OF_ROW)] if repairs is not None else []),
        *map(F.expr, (*parts, *below, *_excess_values(source))),
        *(map(F.expr, sampled_values(source)) if profiled else ()),
    )


def amount_part(kind: str, number: int) -> str:
    """Return the name of the column that holds what of an amount came in, stays, or is excess."""
    return f"_{kind}_{number}"


def capped(name: str) -> str:
    """Return the name of the column that holds an amount cut at its cap."""
    return f"_capped_{name}"


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


def repaired_rows(
    judged: DataFrame,
    source: SourceSettings,
    rules: Sequence[Rule],
    source_name: str,
    batch: str,
    run_id: str,
) -> DataFrame:
    """Return the repaired values of accepted rows in the columns of `repairs`.

    At least one of the rules repairs.
    """
    changed = accepted(judged).where(f"{REPAIRED} IS NOT NULL")
    repairs = changed.selectExpr(f"inline({repairs_sql(source, rules)})")
    return repairs.select(
        "*",
        F.lit(batch).alias("batch_id"),
        F.lit(source_name).alias("source"),
        F.lit(run_id).alias("run_id"),
    ).select(*REPAIRS.names)


def verdict_counts(
    judged: DataFrame, source: SourceSettings, rules: Sequence[Rule], profiled: bool
) -> DataFrame:
    """Count rows, notes and sums of amounts by verdict: `copy` and `rule`, the first one broken.

    Amounts are added as decimals, each rounded to a millionth, so that sums are exact in any order.
    """
    first = f"CASE WHEN {_REFUSED} THEN {BROKEN}[0] END AS rule"
    marks = {n: REPAIRED if r.severity == "repair" else NOTED
             for n, r in enumerate(rules) if r.severity != "reject"}  # fmt: skip
    noted = [
        F.count_if(F.expr(f"array_contains({mark}, {n})")).alias(f"noted_{n}")
        for n, mark in marks.items()
    ]
    sums = [
        F.sum(F.expr(f"try_cast({sql} AS DECIMAL(24, 6))")).alias(f"{kind}_{n}")
        for n, (name, amount) in enumerate(source.amounts.items())
        for kind, sql in _amount_parts(name, amount.cap).items()
    ]
    marked = judged.selectExpr("*", f"{COPY} AS copy", first)
    return marked.groupBy("copy", "rule").agg(
        F.count(F.lit(1)).alias("rows"), *noted, *sums, *(totals(source) if profiled else [])
    )


def _amount_parts(name: str, cap: float | None) -> dict[str, str]:
    value = quoted(name)
    top = value if cap is None else capped_sql(value, cap)
    return {"in": as_read(name), "out": top, "excess": f"{value} - {top}"}


def examples(judged: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Return one refused value per rule that was the first to be broken: `rule`, `found`."""
    refused = judged.where(_REFUSED).select(BROKEN, reasons(rules)[0]["found"].alias("found"))
    return refused.groupBy(F.expr(f"{BROKEN}[0]").alias("rule")).agg(F.min("found").alias("found"))
