"""Ready an analyst's query: it only reads, names versions of tables, and may score by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kyros_spark.errors import UsageError

_READING = ("select", "with", "from", "values", "table", "describe", "desc", "show", "explain")
_WRITING = re.compile(r"\b(insert|update|delete|merge)\b")  # may follow WITH and FROM
# Texts, quoted names and comments: what stands in them is no word of the query.
_ASIDE = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)
_TELLING = (
    r"(?:DESCRIBE|DESC)\s+(?:HISTORY|DETAIL|(?:TABLE\s+)?EXTENDED)\s+|SHOW\s+TBLPROPERTIES\s+"
)
_FUNCTION = re.compile(r"\bkyros_predict(?:_(\w+))?\b", re.IGNORECASE)


def check_reads(query: str) -> None:
    """Refuse a query that would write: the prompt stands on the tables themselves.

    Raises:
        UsageError: it starts with another word than a reading one, or writes further on.
    """
    plain = _ASIDE.sub(" ", query).strip().lstrip("(").lower()
    word = plain.split(None, 1)[0] if plain else ""
    writing = _WRITING.search(plain)
    if word not in _READING or writing:
        raise UsageError(
            f"SQL: expected a query that only reads ({', '.join(_READING)}), found "
            f"{writing[0] if writing else word or 'nothing'}; tables are written by the "
            "stages alone (a column of such a name goes in backquotes)"
        )


def with_versions(query: str, tables: Sequence[str], reference: Callable[[str], str]) -> str:
    """Put the table itself where a query asks for its past, which a view does not have.

    ``policies VERSION AS OF 3``, ``policies TIMESTAMP AS OF ...``, ``DESCRIBE HISTORY policies``;
    likewise DESCRIBE DETAIL and TABLE EXTENDED, SHOW TBLPROPERTIES.
    """
    names = "|".join(tables)
    past = rf"\b({names})(\s+(?:VERSION|TIMESTAMP)\s+AS\s+OF\b)"
    told = rf"^(\s*(?:{_TELLING}))({names})\b"
    query = re.sub(past, lambda m: reference(m[1].lower()) + m[2], query, flags=re.IGNORECASE)
    return re.sub(told, lambda m: m[1] + reference(m[2].lower()), query, flags=re.IGNORECASE)


def functions_named(query: str) -> dict[str, str | None]:
    """Return the scoring functions a query names, and of each the model (None: the default)."""
    return {found[0].lower(): found[1] for found in _FUNCTION.finditer(_ASIDE.sub(" ", query))}
