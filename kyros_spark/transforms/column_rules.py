"""Turn the settings of a source's columns into rules, in the order they are judged."""

from __future__ import annotations

from collections.abc import Iterator

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.duplicates import CONFLICT, SUMMED, SUPERSEDED
from kyros_spark.transforms.repairs import FIRST_REPAIRED, respelled_sql
from kyros_spark.transforms.rules import Rule, values_sql
from kyros_spark.transforms.values import (
    MALFORMED,
    RAW,
    as_read,
    bound_sql,
    literal_sql,
    present_sql,
)

REPLACEMENT = "\ufffd"  # what a decoder leaves where bytes are not of its encoding


def column_rules(source: SourceSettings) -> list[Rule]:
    """Return the rules of a source's records, columns and key."""
    record = f"{RAW}.{MALFORMED}"
    fields = f"{sum(column.sql is None for column in source.columns.values())} fields, well formed"
    rules = [Rule("malformed", "(record)", fields, f"{record} IS NOT NULL", record)]
    for name, column in source.columns.items():
        rules.extend(_rules_of(name, column))
    return [*rules, *_key_rules(source)]


def _key_rules(source: SourceSettings) -> Iterator[Rule]:
    if not source.key:
        return
    key, found = ", ".join(source.key), values_sql(source.key)
    yield Rule("unique", key, "one content a key", CONFLICT, found)
    if source.conflicts == "keep_latest":
        latest = f"the latest by {source.latest_by}"
        yield Rule("superseded", key, latest, SUPERSEDED, found)
    if source.conflicts == "sum":
        summed = f"one row a key; added to another row of the key: {', '.join(source.sum)}"
        yield Rule("summed", key, summed, SUMMED, found)


def _rules_of(name: str, column: ColumnSettings) -> Iterator[Rule]:
    found = f"CAST({present_sql(name, column) if column.sql is None else quoted(name)} AS STRING)"
    decoded = "text in the declared encoding"
    if column.sql is None:
        broken = f"contains({found}, {text(REPLACEMENT)})"
        if column.type != "string":  # what has a type holds no such letter: most rows end here
            broken = f"{_read(name, column)} IS NULL AND {broken}"
        yield Rule("encoding", name, decoded, broken, found)
    for id_, expected, broken in _broken(name, column, found):
        seen = "'nothing'" if id_ == "required" else found
        said = column.says.get(id_, expected)
        yield Rule(id_, name, said, broken, seen, column.weighs(id_))
    if column.respelled:
        expected = "the level as it is declared"
        broken = f"{respelled_sql(found, column)} != {found}"
        yield Rule("respelled", name, expected, broken, found, "repair")


def _broken(name: str, column: ColumnSettings, found: str) -> Iterator[tuple[str, str, str]]:
    """Return id, expectation and SQL of the rules that settings of a column declare."""

    def value(rule: str) -> str:
        return as_read(name) if column.repairs(rule) else quoted(name)

    read = _read(name, column)
    if column.sql is None and column.type != "string":
        expected = column.type + (f" as {column.format}" if column.format else "")
        yield "type", expected, f"{read} IS NULL AND trim({found}) != ''"
    if column.required:
        blank = f" OR trim({read}) = ''" if column.type == "string" else ""
        empty = f"({read} IS NULL{blank})"
        yield "required", "a value", f"{empty} AND coalesce(trim({found}), '') = ''"
    if column.min is not None:
        low = f"{value('min')} < {bound_sql(column.min, column)}"
        yield "min", f"at least {_shown(column.min)}", low
    if column.max is not None:
        high = f"{value('max')} > {bound_sql(column.max, column)}"
        yield "max", f"at most {_shown(column.max)}", high
    if column.allowed is not None:
        known = ", ".join(literal_sql(level, column) for level in column.allowed)
        listed = f"one of {', '.join(column.allowed)}"
        yield "allowed", listed, f"{value('allowed')} NOT IN ({known})"
    if column.pattern is not None:
        other = f"NOT {value('pattern')} RLIKE {text(f'^(?:{column.pattern})$')}"
        yield "pattern", f"text like {column.pattern}", other


def _read(name: str, column: ColumnSettings) -> str:
    """Return the value before any repair: another rule's default hides nothing."""
    return as_read(name) if any(map(column.repairs, FIRST_REPAIRED)) else quoted(name)


def _shown(bound: float | str) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
