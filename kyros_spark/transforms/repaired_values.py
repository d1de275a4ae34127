"""Keep a trail of repairs: which rule changed which value of which row, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kyros_spark.config import RuleSettings, SourceSettings
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.duplicates import sum_of
from kyros_spark.transforms.repairs import before_rule, flag_of, needs_repair
from kyros_spark.transforms.rules import REPAIRED, Rule
from kyros_spark.transforms.values import as_read

BEFORE = "_before"  # the record of a row that a rule repaired, else NULL


@dataclass(frozen=True)
class RepairedValue:
    """One column that a rule repairs; the rule by its number, the value before as SQL."""

    number: int
    rule: str
    column: str
    before: str


def repaired_values(source: SourceSettings, rules: Sequence[Rule]) -> list[RepairedValue]:
    """Return the columns that each rule of severity repair changes."""
    across = {flag_of(rule): rule for rule in source.rules if rule.repair}
    values: list[RepairedValue] = []
    for number, rule in enumerate(rules):
        if rule.severity != "repair":
            continue
        if rule.broken in across:
            values += _of_row_rule(number, across[rule.broken])
        else:
            before = _before(rule, source)
            values.append(RepairedValue(number, rule.id, rule.column, before))
    return values


def repairs_sql(source: SourceSettings, rules: Sequence[Rule]) -> str | None:
    """Return the SQL of the array of a row's repairs; None if no rule repairs anything.

    Each is a struct of the key, rule, column, before and after of `repairs`. It is for the rows
    whose REPAIRED is not NULL.
    """
    values = repaired_values(source, rules)
    if not values:
        return None
    key = ", ".join(f"{text(name)}, CAST({quoted(name)} AS STRING)" for name in source.key)
    structs = ", ".join(
        f"CASE WHEN array_contains({REPAIRED}, {value.number}) THEN named_struct("
        f"'key', map({key}), 'rule', {text(value.rule)}, 'column', {text(value.column)}, "
        f"'before', {value.before}, 'after', CAST({quoted(value.column)} AS STRING)) END"
        for value in values
    )
    return f"array_compact(array({structs}))"


def kept_for_repairs(source: SourceSettings) -> list[str]:
    """Return the columns of typed rows that hold a value before its repair, and nothing else."""
    bounded = (name for name in source.sum if _is_cut(name, source))
    return [*map(sum_of, bounded), *(before_rule(rule) for rule in source.rules if rule.repair)]


def _of_row_rule(number: int, rule: RuleSettings) -> Iterator[RepairedValue]:
    for name in rule.repair:
        yield RepairedValue(number, rule.id, name, f"{before_rule(rule)}.{quoted(name)}")


def _before(rule: Rule, source: SourceSettings) -> str:
    """Return the value that a rule of one column judged, as text."""
    (name,) = [name for name in source.columns if name == rule.column]
    if rule.id in ("min", "max") and name in source.sum:
        return f"CAST({sum_of(name)} AS STRING)"
    read = f"CAST({as_read(name)} AS STRING)"
    if source.columns[name].sql is not None:
        return read if needs_repair(name, source) else f"CAST({quoted(name)} AS STRING)"
    in_record = f"CAST({BEFORE}.{quoted(name)} AS STRING)"
    if name in source.amounts:  # in the unit of account, as what takes its place
        return f"coalesce({read}, {in_record})"
    return in_record


def _is_cut(name: str, source: SourceSettings) -> bool:
    """Tell whether a column's sum over the rows of a key is cut to a bound."""
    return any(map(source.columns[name].repairs, ("min", "max")))
