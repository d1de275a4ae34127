"""Find the first day of a policy in the SQL that makes exposure of its dates.

The first day is known when the policy begins, and so is an age at that day. How long the policy
lasted is not, and its last day tells it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from kyros_spark.config.expressions import inputs_of, without_texts, words

_BETWEEN = re.compile(r"\b(?:datediff|date_diff|months_between)\s*\(", re.IGNORECASE)
_YEAR = re.compile(r"\byear\s*\(\s*`?\w+`?\s*\)", re.IGNORECASE)


def first_days(exposure: str, computed: Mapping[str, str], columns: Collection[str]) -> set[str]:
    """Return the columns that only give the first day of a period, in lower case.

    Each is the start in ``datediff(end, start)`` or its like, or what that is computed from, and
    exposure uses it for nothing else but the length of its year.
    exposure: its SQL. computed: the SQL of computed columns by name. columns: all of the table.
    """
    names = {name.lower() for name in columns}
    sql_of = {name.lower(): sql for name, sql in computed.items()}
    starts: set[str] = set()
    others: set[str] = set()
    to_read = [exposure]
    while to_read:
        text = without_texts(to_read.pop())
        rest = _YEAR.sub(lambda year: " " * len(year[0]), text)
        for begin, end in _starts(text):
            named = words(text[begin:end]) & names
            if len(named) == 1:  # of two, one may be how long the policy lasted
                starts |= named
                rest = rest[:begin] + " " * (end - begin) + rest[end:]
        new = words(rest) & names - others
        others |= new
        to_read += [sql_of[name] for name in new if name in sql_of]
    return inputs_of(starts - others, computed) & names - others


def _starts(sql: str) -> Iterator[tuple[int, int]]:
    """Yield where the start of each period between two dates is written."""
    for match in _BETWEEN.finditer(sql):
        arguments = _arguments(sql, match.end())
        if len(arguments) in (2, 3):  # (end, start), or (unit, start, end)
            yield arguments[1]


def _arguments(sql: str, begin: int) -> list[tuple[int, int]]:
    """Return where each argument of a call lies; ``begin`` is behind the opening parenthesis."""
    arguments, depth = [], 0
    for place in range(begin, len(sql)):
        letter = sql[place]
        if letter == "(":
            depth += 1
        elif letter == ")" and depth:
            depth -= 1
        elif letter in ",)" and not depth:
            arguments.append((begin, place))
            begin = place + 1
            if letter == ")":
                return arguments
    return []
