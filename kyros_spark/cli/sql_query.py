"""Prepare an analyst's query: check that it only reads, resolve versions, find scoring calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kyros_spark.errors import UsageError

_READING = ("select", "with", "from", "values", "table", "describe", "desc", "show", "explain")
_WRITING = re.compile(r"\b(insert|update|delete|merge)\b")  # they may follow WITH and FROM
# Texts, quoted names and comments: their content is not part of the query's words.
_QUOTED = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)
_DESCRIBING = (
    r"(?:DESCRIBE|DESC)\s+(?:HISTORY|DETAIL|(?:TABLE\s+)?EXTENDED)\s+|SHOW\s+TBLPROPERTIES\s+"
)
_FUNCTION = re.compile(r"\bkyros_(predict|explain)(?:_(\w+))?\b", re.IGNORECASE)


def check_reads(query: str) -> None:
    """Refuse a query that would write, since the prompt works on the tables themselves.

    Raises:
        UsageError: the query does not start with a reading word, or it contains a writing one.
    """
    plain = _QUOTED.sub(" ", query).strip().lstrip("(").lower()
    word = plain.split(None, 1)[0] if plain else ""
    writing = _WRITING.search(plain)
    if word not in _READING or writing:
        raise UsageError(
            f"SQL: expected a query that only reads ({', '.join(_READING)}), found "
            f"{writing[0] if writing else word or 'nothing'}; tables are written by the "
            "stages alone (a column of such a name goes in backquotes)"
        )


def with_versions(query: str, tables: Sequence[str], reference: Callable[[str], str]) -> str:
    """Replace a view by its table where a query asks for the table's past or its properties.

    The forms are ``policies VERSION AS OF 3``, ``policies TIMESTAMP AS OF ...``,
    ``DESCRIBE HISTORY policies``, DESCRIBE DETAIL, DESCRIBE TABLE EXTENDED and SHOW TBLPROPERTIES.
    """
    names = "|".join(tables)
    past = rf"\b({names})(\s+(?:VERSION|TIMESTAMP)\s+AS\s+OF\b)"
    described = rf"^(\s*(?:{_DESCRIBING}))({names})\b"
    query = re.sub(past, lambda m: reference(m[1].lower()) + m[2], query, flags=re.IGNORECASE)
    return re.sub(described, lambda m: m[1] + reference(m[2].lower()), query, flags=re.IGNORECASE)


def functions_named(query: str) -> dict[str, tuple[str, str | None]]:
    """Return the functions that a query names: what each does, predict or explain, and its model.

    The model is None for the default one.
    """
    named = _FUNCTION.finditer(_QUOTED.sub(" ", query))
    return {match[0].lower(): (match[1].lower(), match[2]) for match in named}
