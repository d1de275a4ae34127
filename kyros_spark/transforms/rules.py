"""Judge typed rows by rules: a rule is SQL text, and a verdict the numbers of those broken.

A row carries the numbers of the rules it broke, not their sentences: those are worded for refused
rows alone. An array of sentences a row made methods larger than the JVM compiles, and took several
times as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.config import Severity
from kyros_spark.tables.ddl import quoted, text

BROKEN = "_broken"  # array<int>: numbers of the rules for which the row is refused, or NULL
NOTED = "_noted"  # array<int>: numbers of the broken rules that refuse no row, or NULL


@dataclass(frozen=True)
class Rule:
    """A rule: which column, what is expected, and as SQL when it is broken and what is found."""

    id: str
    column: str
    expected: str
    broken: str
    found: str
    severity: Severity = "reject"

    @property
    def name(self) -> str:
        """Return what counts call it."""
        return f"{self.id}:{self.column}"


def broken_sql(rules: Sequence[Rule], refusing: bool) -> tuple[str, str]:
    """Return when a row breaks any of the rules that refuse it, or that do not, and their numbers.

    Most rows break nothing, and no array is made for them.
    """
    chosen = [(n, rule) for n, rule in enumerate(rules) if (rule.severity == "reject") == refusing]
    if not chosen:
        return "false", "CAST(NULL AS ARRAY<INT>)"
    # array_remove is compiled; filter with a lambda is interpreted, and all that is below it: a
    # third of the whole stage's time. A condition that is NULL is not broken.
    any_broken = " OR ".join(f"({rule.broken})" for _, rule in chosen)
    numbered = ", ".join(f"CASE WHEN {rule.broken} THEN {n} ELSE -1 END" for n, rule in chosen)
    return any_broken, f"CASE WHEN {any_broken} THEN array_remove(array({numbered}), -1) END"


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


def values_sql(names: Sequence[str]) -> str:
    """Return the SQL that shows the values of some columns."""
    return f"concat_ws(', ', {', '.join(f'CAST({quoted(name)} AS STRING)' for name in names)})"
