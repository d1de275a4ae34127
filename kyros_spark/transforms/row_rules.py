"""Turn rules across columns, rows and tables, and the policies for amounts, into rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.config import (
    AmountSettings,
    PeriodSettings,
    RuleSettings,
    Severity,
    SourceSettings,
)
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.repairs import check_sql, flag_of
from kyros_spark.transforms.rules import Rule, values_sql
from kyros_spark.transforms.values import as_read

# What a choice about an amount weighs: what is kept is counted all the same, never in silence.
_WEIGHT: Mapping[str, Severity] = {
    "keep": "warn", "zero": "repair", "reject": "reject", "fail": "fail",
}  # fmt: skip


def row_rules(source: SourceSettings) -> list[Rule]:
    """Return the rules that the settings declare by id, then those of amounts."""
    declared = [_rule(rule) for rule in source.rules]
    return [*declared, *(r for n, a in source.amounts.items() for r in _amount_rules(n, a))]


def with_rows_compared(
    typed: DataFrame, source: SourceSettings, lists: Mapping[str, DataFrame]
) -> DataFrame:
    """Add `flag_of` each rule that looks at other rows or at another table.

    lists: by rule id, the rows of the table that lists what may occur. Copies are compared with
    nothing. Each rule costs a shuffle of its own, or a join.
    """
    for rule in source.rules:
        if rule.unique:
            typed = typed.withColumn(flag_of(rule), _again(rule.unique))
        elif rule.no_overlap is not None:
            typed = typed.withColumn(flag_of(rule), _overlaps(rule.no_overlap))
        elif rule.listed_in is not None:
            typed = _with_listed(typed, rule, lists[rule.id])
    return typed


def _with_listed(typed: DataFrame, rule: RuleSettings, listed: DataFrame) -> DataFrame:
    assert rule.listed_in is not None
    pairs = list(enumerate(rule.listed_in.columns.items()))
    there = [F.col(name).alias(f"_there_{n}") for n, (_, name) in pairs]
    known = listed.select(*there).distinct().withColumn("_known", F.lit(True))
    same = [F.col(here) == F.col(f"_there_{n}") for n, (here, _) in pairs]
    broken = _given(list(rule.listed_in.columns)) & F.col("_known").isNull()
    joined = typed.join(known, on=same, how="left")
    return joined.select(*typed.columns, broken.alias(flag_of(rule)))


def _rule(rule: RuleSettings) -> Rule:
    if rule.check is not None:
        # NULL keeps the rule, as it does in SQL's own CHECK constraints.
        broken = f"NOT ({rule.check})"
        told, names = f"{rule.check}", ["(row)"]
        found = "'otherwise'"
    else:
        told, names = _told(rule)
        broken, found = f"NOT ({check_sql(rule)})", values_sql(names)
    if rule.unique or rule.no_overlap or rule.listed_in or rule.repair:
        broken = flag_of(rule)
    return Rule(rule.id, ", ".join(names), rule.says or told, broken, found, rule.severity)


def _told(rule: RuleSettings) -> tuple[str, list[str]]:
    if rule.in_order:
        return f"in order: {' <= '.join(rule.in_order)}", list(rule.in_order)
    if rule.unique:
        return "no two rows with the same values", list(rule.unique)
    if rule.no_overlap is not None:
        period = [rule.no_overlap.start, rule.no_overlap.end]
        return f"no two periods of a {', '.join(rule.no_overlap.of)} that overlap", period
    assert rule.listed_in is not None
    return f"listed in {rule.listed_in.path}", list(rule.listed_in.columns)


def _amount_rules(name: str, amount: AmountSettings) -> Iterator[Rule]:
    read = as_read(name)
    found = f"CAST({read} AS STRING)"

    def rule(id_: str, expected: str, broken: str, choice: str) -> Rule:
        return Rule(id_, name, expected, broken, found, _WEIGHT[choice])

    yield rule("negative", "an amount of at least 0", f"{read} < 0", amount.negative)
    yield rule("zero", "an amount other than 0", f"{read} = 0", amount.zero)
    if amount.convention:
        fixed = ", ".join(f"{value!r}D" for value in amount.convention)
        told = "an amount that was settled, not fixed by convention"
        yield rule("convention", told, f"{read} IN ({fixed})", amount.convention_is)
    if amount.count is not None:
        count = f"coalesce({quoted(amount.count)}, 0)"
        told = f"no amount where {amount.count} is 0"
        yield rule("without_count", told, f"{read} != 0 AND {count} = 0", amount.without_count)
        told = f"an amount where {amount.count} is above 0"
        nothing = f"coalesce({read}, 0) = 0 AND {count} > 0"
        yield rule("without_amount", told, nothing, amount.without_amount)
    if amount.currency is not None:
        known = ", ".join(text(code) for code in amount.rates)
        code = f"CAST({quoted(amount.currency)} AS STRING)"
        broken = f"coalesce({code} NOT IN ({known}), true)"
        yield Rule("currency", amount.currency, f"one of {', '.join(amount.rates)}", broken, code)


def _again(names: tuple[str, ...]) -> Column:
    same = Window.partitionBy(*names)
    rows = F.count(F.when(~F.col(COPY), 1)).over(same)
    return (rows > 1) & _given(list(names))


def _overlaps(period: PeriodSettings) -> Column:
    """Tell whether a period begins before an earlier one of the same policy has ended."""
    earlier = Window.partitionBy(*period.of).orderBy(COPY, period.start, period.end)
    before = F.max(F.when(~F.col(COPY), F.col(period.end))).over(
        earlier.rowsBetween(Window.unboundedPreceding, -1)
    )
    begins = F.col(period.start)
    overlaps = begins <= before if period.last_day == "at_risk" else begins < before
    return F.coalesce(~F.col(COPY) & overlaps, F.lit(False))


def _given(names: list[str]) -> Column:
    return F.expr(" AND ".join(f"{quoted(name)} IS NOT NULL" for name in names))
