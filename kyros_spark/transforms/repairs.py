"""Repair values as the settings say: spelling, units, currencies, bounds and unknown values."""

from __future__ import annotations

import itertools

from pyspark.sql import DataFrame

from kyros_spark.config import AmountSettings, ColumnSettings, RuleSettings, SourceSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.values import as_read, bound_sql, literal_sql, present_sql

FIRST_REPAIRED = ("type", "required", "min", "max", "allowed", "pattern")


def respelled_sql(value: str, column: ColumnSettings) -> str:
    """Return a level trimmed, changed in case and renamed, in this order."""
    if column.trim:
        value = f"trim({value})"
    if column.case != "keep":
        value = f"{column.case}({value})"
    if column.aliases:
        cases = " ".join(f"WHEN {text(a)} THEN {text(b)}" for a, b in column.aliases.items())
        value = f"CASE {value} {cases} ELSE {value} END"
    return value


def needs_repair(name: str, source: SourceSettings) -> bool:
    """Tell whether a column's value may differ from the one that was read."""
    column = source.columns[name]
    return any(map(column.repairs, FIRST_REPAIRED)) or name in source.amounts


def with_repairs(typed: DataFrame, source: SourceSettings, names: list[str]) -> DataFrame:
    """Repair the named columns; `as_read` of a name holds the value as it was read.

    An amount is converted to the unit of account first, so that its value as read is in that unit.
    """
    changed = [name for name in names if needs_repair(name, source)]
    if not changed:
        return typed
    in_unit = {n: _in_unit(n, source.amounts[n]) for n in changed if n in source.amounts}
    originals = {n: in_unit.get(n, quoted(n)) for n in changed}
    others = [quoted(name) for name in typed.columns]
    layer = typed.selectExpr(*others, *(f"{sql} AS {as_read(n)}" for n, sql in originals.items()))
    repaired = {n: _repaired(n, source) for n in changed}
    values = (
        f"{repaired[n]} AS {quoted(n)}" if n in repaired else quoted(n) for n in layer.columns
    )
    return layer.selectExpr(*values)


def with_rows_repaired(typed: DataFrame, rules: tuple[RuleSettings, ...]) -> DataFrame:
    """Repair rows that break a rule across columns; the column `flag_of` the rule marks them.

    `before_rule` holds as text what stood in the columns that the rule repairs.
    """
    for rule in rules:
        if rule.severity != "repair":
            continue
        typed = typed.selectExpr(
            "*", f"coalesce(NOT ({check_sql(rule)}), false) AS {flag_of(rule)}"
        )
        texts = ", ".join(f"CAST({quoted(n)} AS STRING) AS {quoted(n)}" for n in rule.repair)
        before = f"CASE WHEN {flag_of(rule)} THEN struct({texts}) END AS {before_rule(rule)}"
        fixed = {name: f"CASE WHEN {flag_of(rule)} THEN {sql} ELSE {quoted(name)} END"
                 for name, sql in rule.repair.items()}  # fmt: skip
        types = dict(typed.dtypes)
        typed = typed.selectExpr(
            *(
                f"CAST({fixed[n]} AS {types[n]}) AS {quoted(n)}" if n in fixed else quoted(n)
                for n in typed.columns
            ),
            before,
        )
    return typed


def check_sql(rule: RuleSettings) -> str:
    """Return the SQL condition of a row that satisfies the rule; NULL counts as satisfied."""
    if rule.check is not None:
        return rule.check
    names = [quoted(name) for name in rule.in_order]
    return " AND ".join(f"coalesce({a} <= {b}, true)" for a, b in itertools.pairwise(names))


def flag_of(rule: RuleSettings) -> str:
    """Return the name of the column that says whether a row broke the rule."""
    return f"_rule_{rule.id}"


def before_rule(rule: RuleSettings) -> str:
    """Return the name of the column that holds the values before the rule repaired them."""
    return f"_before_{rule.id}"


def _in_unit(name: str, amount: AmountSettings) -> str:
    value = quoted(name)
    if amount.unit != 1.0:
        value = f"round({value} * {amount.unit!r}D, 6)"
    if amount.currency is not None:  # an unknown currency gives 0; its row is refused
        rates = " ".join(f"WHEN {text(c)} THEN {r!r}D" for c, r in amount.rates.items())
        code = f"CAST({quoted(amount.currency)} AS STRING)"
        value = f"round({value} * CASE {code} {rates} ELSE 0D END, 6)"
    return value


def _repaired(name: str, source: SourceSettings) -> str:
    column, amount = source.columns[name], source.amounts.get(name)
    value = as_read(name)
    unknown = []
    if column.repairs("allowed") and column.allowed is not None:
        levels = ", ".join(literal_sql(level, column) for level in column.allowed)
        unknown.append(f"{value} NOT IN ({levels})")
    if column.repairs("pattern") and column.pattern is not None:
        unknown.append(f"NOT {value} RLIKE {text(f'^(?:{column.pattern})$')}")
    cases = [f"WHEN {' OR '.join(unknown)} THEN {_default(column)}"] if unknown else []
    if column.default is not None and column.repairs("required"):
        blank = f" OR trim({value}) = ''" if column.type == "string" else ""
        cases.append(f"WHEN {value} IS NULL{blank} THEN {_default(column)}")
    elif column.default is not None and column.repairs("type") and column.is_read:
        # What is missing broke no type, and stays missing.
        given = f"trim(CAST({present_sql(name, column)} AS STRING)) != ''"
        cases.append(f"WHEN {value} IS NULL AND {given} THEN {_default(column)}")
    cases += _bound_cases(value, column)
    if amount is not None and amount.negative == "zero":
        cases.append(f"WHEN {value} < 0 THEN 0")
    if amount is not None and amount.count is not None and amount.without_count == "zero":
        cases.append(f"WHEN {value} != 0 AND {quoted(amount.count)} = 0 THEN 0")
    if not cases:
        return value
    return f"CAST(CASE {' '.join(cases)} ELSE {value} END AS {sql_type(column.type)})"


def within_bounds_sql(value: str, column: ColumnSettings) -> str:
    """Return a number cut to the bounds whose rules are repaired."""
    cases = _bound_cases(value, column)
    return f"CASE {' '.join(cases)} ELSE {value} END" if cases else value


def _bound_cases(value: str, column: ColumnSettings) -> list[str]:
    return [
        f"WHEN {value} {sign} {bound_sql(bound, column)} THEN {bound_sql(bound, column)}"
        for rule, bound, sign in (("min", column.min, "<"), ("max", column.max, ">"))
        if bound is not None and column.repairs(rule)
    ]


def _default(column: ColumnSettings) -> str:
    return "NULL" if column.default is None else literal_sql(column.default, column)
