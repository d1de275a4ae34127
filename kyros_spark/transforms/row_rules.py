"""Turn the settings of amounts, and of rules across columns, rows and tables, into rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.config import (
    AmountSettings,
    ColumnSettings,
    PeriodSettings,
    RuleSettings,
    Severity,
    SourceSettings,
)
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.conversions import converted_sql
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.repairs import check_sql, flag_of
from kyros_spark.transforms.rules import Rule, values_sql
from kyros_spark.transforms.values import as_read

LARGEST = 90_000_000_000_000.0  # of an amount: 2^53 cents, rounded down
# The severity of each choice about an amount; even a kept amount is counted, never silently.
_SEVERITY_OF: Mapping[str, Severity] = {
    "keep": "warn", "zero": "repair", "reject": "reject", "fail": "fail",
}  # fmt: skip


def row_rules(source: SourceSettings) -> list[Rule]:
    """Return the rules that the settings declare by id, then the rules of amounts."""
    declared = [_rule(rule) for rule in source.rules]
    return [*declared, *(r for n, a in source.amounts.items() for r in _amount_rules(n, a))]


def with_rows_compared(
    typed: DataFrame, source: SourceSettings, lists: Mapping[str, DataFrame]
) -> DataFrame:
    """Add the column `flag_of` each rule that looks at other rows or at another table.

    lists: the rows of the table of allowed values, by rule id. Copies are compared with nothing.
    Each rule costs a shuffle or a join of its own.
    """
    for rule in source.rules:
        if rule.unique:
            typed = typed.withColumn(flag_of(rule), _is_repeated(rule.unique))
        elif rule.no_overlap is not None:
            typed = typed.withColumn(flag_of(rule), _overlaps(rule.no_overlap))
        elif rule.listed_in is not None:
            typed = _with_listed(typed, rule, lists[rule.id], source.columns)
    return typed


def _with_listed(
    typed: DataFrame,
    rule: RuleSettings,
    listed: DataFrame,
    columns: Mapping[str, ColumnSettings],
) -> DataFrame:
    assert rule.listed_in is not None
    renamed = [
        f"{_of_type(listed, listed_name, columns[name])} AS _listed_{n}"
        for n, (name, listed_name) in enumerate(rule.listed_in.columns.items())
    ]
    allowed = listed.selectExpr(*renamed).distinct().withColumn("_is_listed", F.lit(True))
    matches = [
        F.col(name) == F.col(f"_listed_{n}") for n, name in enumerate(rule.listed_in.columns)
    ]
    broken = _all_present(list(rule.listed_in.columns)) & F.col("_is_listed").isNull()
    joined = typed.join(allowed, on=matches, how="left")
    return joined.select(*typed.columns, broken.alias(flag_of(rule)))


def _of_type(listed: DataFrame, name: str, column: ColumnSettings) -> str:
    """Return a list's values in the type of the column they are compared with, else NULL."""
    in_list = column.model_copy(update={"format": None, "zone": None})  # those are the source's
    return converted_sql(quoted(name), in_list, listed.schema[name].dataType)


def _rule(rule: RuleSettings) -> Rule:
    if rule.check is not None:
        # NULL satisfies the rule, as in the CHECK constraints of SQL.
        broken = f"NOT ({rule.check})"
        expected, names = f"{rule.check}", ["(row)"]
        found_sql = "'otherwise'"
    else:
        expected, names = _expectation(rule)
        broken, found_sql = f"NOT ({check_sql(rule)})", values_sql(names)
    if rule.unique or rule.no_overlap or rule.listed_in or rule.repair:
        broken = flag_of(rule)
    expected = rule.says or expected
    return Rule(rule.id, ", ".join(names), expected, broken, found_sql, rule.severity)


def _expectation(rule: RuleSettings) -> tuple[str, list[str]]:
    """Return the sentence of a rule that is not a check, and the columns that it looks at."""
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
    read_text = f"CAST({read} AS STRING)"

    def rule(id_: str, expected: str, broken: str, choice: str) -> Rule:
        return Rule(id_, name, expected, broken, read_text, _SEVERITY_OF[choice])

    if amount.currency is not None:
        currencies = ", ".join(text(name) for name in amount.rates)
        code = f"CAST({quoted(amount.currency)} AS STRING)"
        broken = f"coalesce({code} NOT IN ({currencies}), true)"
        yield Rule("currency", amount.currency, f"one of {', '.join(amount.rates)}", broken, code)
    expected = f"an amount within {LARGEST:,.0f}, beyond which a double holds no cents"
    yield rule("too_large", expected, f"abs({read}) > {LARGEST!r}D", "reject")
    yield rule("negative", "an amount of at least 0", f"{read} < 0", amount.negative)
    yield rule("zero", "an amount other than 0", f"{read} = 0", amount.zero)
    no_amount = f"{quoted(name)} IS NULL"
    if amount.count is not None:  # where there is no claim, no amount is missing
        no_amount += f" AND coalesce({quoted(amount.count)}, 1) != 0"
    weight = _SEVERITY_OF[amount.unknown]
    yield Rule("unknown", name, "a known amount", no_amount, "'nothing'", weight)
    if amount.convention:
        fixed = ", ".join(f"{value!r}D" for value in amount.convention)
        settled = "an amount that was settled, not fixed by convention"
        yield rule("convention", settled, f"{read} IN ({fixed})", amount.convention_is)
    if amount.count is not None:
        count = quoted(amount.count)  # one that is not known is neither 0 nor above it
        expected = f"no amount where {amount.count} is 0"
        no_count = f"{read} != 0 AND {count} = 0"
        yield rule("without_count", expected, no_count, amount.without_count)
        expected = f"an amount where {amount.count} is above 0"
        no_amount = f"coalesce({read}, 0) = 0 AND {count} > 0"
        yield rule("without_amount", expected, no_amount, amount.without_amount)


def _is_repeated(names: tuple[str, ...]) -> Column:
    """Tell whether another row, copies apart, has the same values."""
    same_values = Window.partitionBy(*names)
    rows = F.count(F.when(~F.col(COPY), 1)).over(same_values)
    return (rows > 1) & _all_present(list(names))


def _overlaps(period: PeriodSettings) -> Column:
    """Tell whether a period begins before an earlier one of the same policy has ended."""
    earlier = Window.partitionBy(*period.of).orderBy(COPY, period.start, period.end)
    latest_end = F.max(F.when(~F.col(COPY), F.col(period.end))).over(
        earlier.rowsBetween(Window.unboundedPreceding, -1)
    )
    start = F.col(period.start)
    overlaps = start <= latest_end if period.last_day == "at_risk" else start < latest_end
    return F.coalesce(~F.col(COPY) & overlaps, F.lit(False))


def _all_present(names: list[str]) -> Column:
    return F.expr(" AND ".join(f"{quoted(name)} IS NOT NULL" for name in names))
