"""Prepare an analyst's query: what its words tell, versions of tables, calls of models.

Whether it only reads is decided on Spark's plan (`guard`); where there is no JVM to ask for it,
on Spark Connect, the words decide, and refuse more than they would have to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kyros_spark.errors import UsageError

_DESCRIBING_WORDS = ("describe", "desc", "show", "explain")
_READING = ("select", "with", "from", "values", "table", *_DESCRIBING_WORDS)
_WRITING = re.compile(r"\b(insert|update|delete|merge)\b")  # they may follow WITH and FROM
# Texts, quoted names and comments: their content is not part of the query's words.
_QUOTED = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)
# What a SELECT could start, call or read; looked for in the whole text, in quotes too.
_REACHING_OUT = re.compile(
    r"\b(?:java_method|(?:try_)?reflect|identifier|(?:try_)?secret|http_request|read_files"
    r"|(?:from|to)_protobuf|from_avro|ai_query|remote_query)\b"
    r"|\b(?:transform|map|reduce)\b(?=.*\busing\b)"
    r"|\b(?:text|csv|json|parquet|orc|avro|xml|binaryfile|image|libsvm|jdbc)\W{0,3}\.",
    re.IGNORECASE | re.DOTALL,
)
_DESCRIBING = (
    r"(?:DESCRIBE|DESC)\s+(?:HISTORY|DETAIL|(?:TABLE\s+)?EXTENDED)\s+|SHOW\s+TBLPROPERTIES\s+"
)
_FUNCTION = re.compile(r"\bkyros_(predict|explain)(?:_(\w+))?\b", re.IGNORECASE)


def is_describing(query: str) -> bool:
    """Tell whether a text that begins with a word can only be a DESCRIBE, SHOW or EXPLAIN."""
    words = query.split(None, 1)
    return bool(words) and words[0].lower() in _DESCRIBING_WORDS


def as_query(query: str) -> str:
    """Return the query within another one, where Spark's grammar takes nothing but a query."""
    return f"SELECT * FROM (\n{query}\n)"


def check_reads(query: str) -> None:
    """Refuse by its words a query that would write, start a program, call Java or read a file.

    Raises:
        UsageError: the query does not start with a reading word, or it contains another one.
    """
    plain = _QUOTED.sub(" ", query).strip().lstrip("(").lower()
    word = plain.split(None, 1)[0] if plain else ""
    writing = _WRITING.search(plain) or _REACHING_OUT.search(query)
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
