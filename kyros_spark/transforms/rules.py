"""Judge typed rows by rules: a rule is SQL text, and a verdict is the numbers of the broken rules.

A row carries the numbers of the rules it broke, not their sentences, which are written for refused
rows alone. An array of sentences per row made methods too large for the JVM to compile, and took
several times as long as all other work.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.config import Severity
from kyros_spark.tables.ddl import quoted, text

BROKEN = "_broken"  # array<int>: numbers of the broken rules that refuse the row, or NULL
NOTED = "_noted"  # array<int>: numbers of the broken rules that change nothing, or NULL
REPAIRED = (
    "_repaired"  # array<int>: numbers of the broken rules whose values were repaired, or NULL
)


@dataclass(frozen=True)
class Rule:
    """A rule: its column and expectation, and as SQL when it is broken and what the row holds."""

    id: str
    column: str
    expected: str
    broken: str
    found_sql: str
    severity: Severity = "reject"

    @property
    def name(self) -> str:
        """Return the name by which rows that break the rule are counted."""
        return f"{self.id}:{self.column}"


def broken_sql(rules: Sequence[Rule], severities: Container[Severity]) -> tuple[str, str]:
    """Return the SQL of whether a row breaks any of the rules, and of the numbers of those broken.

    severities: of the rules that are taken. Most rows break no rule, and no array is built for
    them.
    """
    chosen = [(n, rule) for n, rule in enumerate(rules) if rule.severity in severities]
    if not chosen:
        return "false", "CAST(NULL AS ARRAY<INT>)"
    # array_remove is compiled. A filter with a lambda is interpreted, and so is everything below
    # it, which took a third of the stage's time. A rule whose condition is NULL is not broken.
    any_broken = " OR ".join(f"({rule.broken})" for _, rule in chosen)
    numbered = ", ".join(f"CASE WHEN {rule.broken} THEN {n} ELSE -1 END" for n, rule in chosen)
    return any_broken, f"CASE WHEN {any_broken} THEN array_remove(array({numbered}), -1) END"


def reasons(rules: Sequence[Rule]) -> Column:
    """Return the array of reasons of a refused row, each with the value that was found."""
    distinct = list(dict.fromkeys(rule.found_sql for rule in rules))
    index_of = {sql: n for n, sql in enumerate(distinct)}

    def by_rule(texts: list[str]) -> str:
        return f"array({', '.join(text(value) for value in texts)})[n]"

    index = f"array({', '.join(str(index_of[rule.found_sql]) for rule in rules)})[n]"
    value = f"array({', '.join(f'substring({sql}, 1, 200)' for sql in distinct)})[{index}]"
    return F.expr(
        f"transform({BROKEN}, n -> named_struct('rule', {by_rule([r.id for r in rules])}, "
        f"'column', {by_rule([r.column for r in rules])}, "
        f"'expected', {by_rule([r.expected for r in rules])}, 'found', {value}))"
    )


def values_sql(names: Sequence[str]) -> str:
    """Return the SQL of one text that shows the values of the columns."""
    return f"concat_ws(', ', {', '.join(f'CAST({quoted(name)} AS STRING)' for name in names)})"
