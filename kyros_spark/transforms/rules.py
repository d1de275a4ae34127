"""Judge typed rows by the rules of the settings: rules are SQL texts, and a verdict their numbers.

A row carries the numbers of the rules it broke, not their sentences: those are worded for refused
rows alone. An array of sentences a row made methods larger than the JVM compiles, and took several
times as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.duplicates import CONFLICT
from kyros_spark.transforms.typed import MALFORMED, RAW, present_sql

BROKEN = "_broken"  # array<int>: numbers of the rules for which the row is refused
REPLACEMENT = "\ufffd"  # what a decoder leaves where bytes are not of its encoding


@dataclass(frozen=True)
class Rule:
    """A rule: which column, what is expected, and as SQL when it is broken and what is found."""

    id: str
    column: str
    expected: str
    broken: str
    found: str

    @property
    def name(self) -> str:
        """Return what counts call it."""
        return f"{self.id}:{self.column}"


def with_broken(typed: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Add the numbers of the rules that a row breaks, in order; empty where it is clean."""
    return typed.withColumn(BROKEN, F.expr(broken_sql(rules)))


def broken_sql(rules: Sequence[Rule], first: int = 0) -> str:
    """Return the SQL of the numbers of broken rules, counted from ``first``."""
    numbered = (f"CASE WHEN {r.broken} THEN {n} END" for n, r in enumerate(rules, start=first))
    numbers = ", ".join(numbered) or "CAST(NULL AS INT)"
    return f"filter(array({numbers}), n -> n IS NOT NULL)"


def reasons(rules: Sequence[Rule]) -> Column:
    """Return the array of reasons of a refused row, each with what was found in it."""
    founds = list(dict.fromkeys(rule.found for rule in rules))
    place = {sql: n for n, sql in enumerate(founds)}

    def told(texts: list[str]) -> str:
        return f"array({', '.join(text(value) for value in texts)})[n]"

    at = f"array({', '.join(str(place[rule.found]) for rule in rules)})[n]"
    found = f"array({', '.join(f'substring({sql}, 1, 200)' for sql in founds)})[{at}]"
    return F.expr(
        f"transform({BROKEN}, n -> named_struct('rule', {told([r.id for r in rules])}, "
        f"'column', {told([r.column for r in rules])}, "
        f"'expected', {told([r.expected for r in rules])}, 'found', {found}))"
    )


def rules_of(source: SourceSettings) -> list[Rule]:
    """Return the rules that the settings of a source declare, in the order they are judged."""
    record = f"{RAW}.{MALFORMED}"
    count = sum(column.sql is None for column in source.columns.values())
    rules = [
        Rule(
            "malformed", "(record)", f"{count} fields, well formed", f"{record} IS NOT NULL", record
        )
    ]
    for name, column in source.columns.items():
        rules.extend(_column_rules(name, column))
    if source.key:
        key = ", ".join(source.key)
        rules.append(Rule("unique", key, "one content a key", CONFLICT, values_sql(source.key)))
    return rules


def values_sql(names: Sequence[str]) -> str:
    """Return the SQL that shows the values of some columns."""
    return f"concat_ws(', ', {', '.join(f'CAST({quoted(name)} AS STRING)' for name in names)})"


def _column_rules(name: str, column: ColumnSettings) -> Iterator[Rule]:
    value = quoted(name)
    found = f"CAST({present_sql(name, column) if column.sql is None else value} AS STRING)"
    if column.sql is None:
        decoded = "text in the declared encoding"
        yield Rule("encoding", name, decoded, f"contains({found}, {text(REPLACEMENT)})", found)
        if column.type != "string":
            expected = column.type + (f" as {column.format}" if column.format else "")
            yield Rule("type", name, expected, f"{value} IS NULL AND trim({found}) != ''", found)
    if column.required:
        blank = f" OR trim({value}) = ''" if column.type == "string" else ""
        nothing = f"({value} IS NULL{blank}) AND coalesce(trim({found}), '') = ''"
        yield Rule("required", name, "a value", nothing, "'nothing'")
    for id_, bound, sign in (("min", column.min, "<"), ("max", column.max, ">")):
        if bound is not None:
            expected = f"at {'least' if id_ == 'min' else 'most'} {_shown(bound)}"
            yield Rule(id_, name, expected, f"{value} {sign} {_bound(bound, column)}", found)
    if column.allowed is not None:
        # By value, not by text: a double's 1.0 is the allowed 1.
        known = ", ".join(_literal(value, column) for value in column.allowed)
        listed = ", ".join(column.allowed)
        yield Rule("allowed", name, f"one of {listed}", f"{value} NOT IN ({known})", found)


def _bound(bound: float | str, column: ColumnSettings) -> str:
    # A number stays one: cast to an int column's type, a bound of 0.5 would let 0 pass.
    return f"{bound!r}D" if isinstance(bound, float) else _literal(bound, column)


def _literal(value: str, column: ColumnSettings) -> str:
    return f"CAST({text(value)} AS {sql_type(column.type)})"


def _shown(bound: float | str) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
