"""Judge typed rows by the rules of the settings: every broken rule becomes a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.transforms.duplicates import CONFLICT
from kyros_spark.transforms.typed import MALFORMED, RAW, present

REASONS = "_reasons"
REPLACEMENT = "\ufffd"  # what a decoder leaves where bytes are not of its encoding


@dataclass(frozen=True)
class Rule:
    """A rule: which column, what is expected, when it is broken, and what is then found."""

    id: str
    column: str
    expected: str
    broken: Column
    found: Column


def with_reasons(typed: DataFrame, source: SourceSettings) -> DataFrame:
    """Add the array of reasons for which a row is refused; empty where it is clean."""
    reasons = F.array(*(_reason(rule) for rule in rules_of(source)))
    return typed.withColumn(REASONS, F.filter(reasons, lambda reason: reason.isNotNull()))


def with_reason_added(judged: DataFrame, rule: Rule) -> DataFrame:
    """Add one more rule's reason, for a rule that needs another table."""
    added = F.when(rule.broken, F.array_append(F.col(REASONS), _reason(rule)))
    return judged.withColumn(REASONS, F.coalesce(added, F.col(REASONS)))


def rules_of(source: SourceSettings) -> Iterator[Rule]:
    """Return the rules that the settings of a source declare, in the order they are judged."""
    text = F.col(f"{RAW}.{MALFORMED}")
    count = sum(column.sql is None for column in source.columns.values())
    yield Rule("malformed", "(record)", f"{count} fields, well formed", text.isNotNull(), text)
    for name, column in source.columns.items():
        yield from _column_rules(name, column)
    if source.key:
        key = ", ".join(source.key)
        found = F.concat_ws(", ", *(F.col(name).cast("string") for name in source.key))
        yield Rule("unique", key, "one content a key", F.col(CONFLICT), found)


def _column_rules(name: str, column: ColumnSettings) -> Iterator[Rule]:
    value = F.col(name)
    found = present(name, column).cast("string") if column.sql is None else value.cast("string")
    if column.sql is None:
        yield Rule(
            "encoding", name, "text in the declared encoding", found.contains(REPLACEMENT), found
        )
        unread = found.isNotNull() & value.isNull()
        if column.type != "string":
            expected = column.type + (f" as {column.format}" if column.format else "")
            unread = unread & (F.trim(found) != "")
            yield Rule("type", name, expected, unread, found)
    if column.required:
        empty = (
            value.isNull() if column.type != "string" else value.isNull() | (F.trim(value) == "")
        )
        not_given = empty & (found.isNull() | (F.trim(found) == ""))
        yield Rule("required", name, "a value", not_given, F.lit("nothing"))
    if column.min is not None:
        bound = _bound(column.min, column)
        yield Rule("min", name, f"at least {_shown(column.min)}", value < bound, found)
    if column.max is not None:
        bound = _bound(column.max, column)
        yield Rule("max", name, f"at most {_shown(column.max)}", value > bound, found)
    if column.allowed is not None:
        listed = ", ".join(column.allowed)
        # By value, not by text: a double's 1.0 is the allowed 1.
        known = [F.lit(text).cast(sql_type(column.type)) for text in column.allowed]
        unknown = ~value.isin(*known)
        yield Rule("allowed", name, f"one of {listed}", unknown, found)


def _bound(bound: float | str, column: ColumnSettings) -> Column:
    # A number stays one: cast to an int column's type, a bound of 0.5 would let 0 pass.
    return F.lit(bound) if isinstance(bound, float) else F.lit(bound).cast(sql_type(column.type))


def _shown(bound: float | str) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _reason(rule: Rule) -> Column:
    told = F.struct(
        F.lit(rule.id).alias("rule"),
        F.lit(rule.column).alias("column"),
        F.lit(rule.expected).alias("expected"),
        F.substring(rule.found, 1, 200).alias("found"),
    )
    return F.when(rule.broken, told)
