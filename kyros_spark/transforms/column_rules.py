"""Turn the settings of a source's columns into rules, in the order in which they are judged."""

from __future__ import annotations

from collections.abc import Iterator

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.duplicates import CONFLICT, EQUAL, SUMMED, SUPERSEDED, sum_of
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

REPLACEMENT = "\ufffd"  # a decoder puts it in place of bytes outside its encoding


def column_rules(source: SourceSettings) -> list[Rule]:
    """Return the rules for a source's records, columns and key."""
    record = f"{RAW}.{MALFORMED}"
    fields = f"{source.fields} fields, well formed"
    rules = [Rule("malformed", "(record)", fields, f"{record} IS NOT NULL", record)]
    for name, column in source.columns.items():
        rules.extend(_rules_of(name, column, source))
    return [*rules, *_key_rules(source)]


def _key_rules(source: SourceSettings) -> Iterator[Rule]:
    if source.is_numbered:
        if source.duplicates == "keep":
            expected = "no earlier row with the same values"
            yield Rule("copy", "(record)", expected, EQUAL, "'an earlier row'", "warn")
        return
    if not source.key:
        return
    key, key_values = ", ".join(source.key), values_sql(source.key)
    yield Rule("unique", key, "one content a key", CONFLICT, key_values)
    if source.conflicts == "keep_latest":
        latest = f"the latest by {source.latest_by}"
        yield Rule("superseded", key, latest, SUPERSEDED, key_values)
    if source.conflicts == "sum":
        summed = f"one row a key; added to another row of the key: {', '.join(source.sum)}"
        yield Rule("summed", key, summed, SUMMED, key_values)


def _rules_of(name: str, column: ColumnSettings, source: SourceSettings) -> Iterator[Rule]:
    source_value = present_sql(name, column) if column.sql is None else quoted(name)
    value_text = f"CAST({source_value} AS STRING)"
    decoded, read = "text in the declared encoding", _read(name, column, source)
    if column.sql is None:
        broken = f"contains({value_text}, {text(REPLACEMENT)})"
        if column.type != "string":  # a converted value holds no such letter: most rows end here
            broken = f"{read} IS NULL AND {broken}"
        yield Rule("encoding", name, decoded, broken, value_text)
    if column.sql is None and column.type != "string":
        broken = f"{read} IS NULL AND trim({value_text}) != ''"
        expected = column.says.get("type", _type_text(column, source.format))
        yield Rule("type", name, expected, broken, value_text, column.weighs("type"))
    for id_, expectation, broken in _declared_rules(name, column, source, value_text):
        found_sql = "'nothing'" if id_ == "required" else value_text
        expected = column.says.get(id_, expectation)
        yield Rule(id_, name, expected, broken, found_sql, column.weighs(id_))
    if column.respelled:
        expected = "the level as it is declared"
        broken = f"{respelled_sql(value_text, column)} != {value_text}"
        yield Rule("respelled", name, expected, broken, value_text, "repair")


def _declared_rules(
    name: str, column: ColumnSettings, source: SourceSettings, value_text: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the id, expectation and SQL condition of each rule that a column declares.

    value_text: the SQL of the column's value as text.
    """

    def value(rule: str) -> str:
        return as_read(name) if column.repairs(rule) else quoted(name)

    def beyond(rule: str, sign: str, bound: float | str) -> str:
        edge = bound_sql(bound, column)
        summed = f" OR {sum_of(name)} {sign} {edge}" if in_sum and column.repairs(rule) else ""
        return f"{value(rule)} {sign} {edge}{summed}"

    in_sum, read = name in source.sum, _read(name, column, source)
    if column.required:
        blank = f" OR trim({read}) = ''" if column.type == "string" else ""
        empty = f"({read} IS NULL{blank}) AND coalesce(trim({value_text}), '') = ''"
        unknown_sum = f" OR ({read} IS NOT NULL AND {quoted(name)} IS NULL)" if in_sum else ""
        yield "required", "a value", f"{empty}{unknown_sum}"
    if column.min is not None:
        yield "min", f"at least {_bound_text(column.min)}", beyond("min", "<", column.min)
    if column.max is not None:
        yield "max", f"at most {_bound_text(column.max)}", beyond("max", ">", column.max)
    if column.allowed is not None:
        levels = ", ".join(literal_sql(level, column) for level in column.allowed)
        listed = f"one of {', '.join(column.allowed)}"
        yield "allowed", listed, f"{value('allowed')} NOT IN ({levels})"
    if column.pattern is not None:
        unlike = f"NOT {value('pattern')} RLIKE {text(f'^(?:{column.pattern})$')}"
        yield "pattern", f"text like {column.pattern}", unlike


def _type_text(column: ColumnSettings, format_: str) -> str:
    """Say what the type rule expects; a timestamp is a date only if it is midnight."""
    if column.type == "date" and format_ in ("parquet", "delta"):
        return f"date, or midnight {column.zone or 'UTC'}"
    return column.type + (f" as {' or '.join(column.formats)}" if column.formats else "")


def _read(name: str, column: ColumnSettings, source: SourceSettings) -> str:
    """Return the value before any repair or sum, so that what takes its place hides nothing."""
    is_kept = name in source.sum or any(map(column.repairs, FIRST_REPAIRED))
    return as_read(name) if is_kept else quoted(name)


def _bound_text(bound: float | str) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
