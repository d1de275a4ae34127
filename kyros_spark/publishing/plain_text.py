"""Turn texts of data and settings into Markdown that shows them as they are."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# What is markup anywhere, and `_` except within a word: backslash, code, emphasis, tags and
# entities, links, tables, mathematics, and lines struck out.
_ANYWHERE = re.compile(r"[\\`*<>&\[\]|$~]|(?<![^\W_])_|_(?![^\W_])")
# What is markup at a line's beginning: a heading, a list, a rule, an underlined title.
_AT_START = re.compile(r"(#{1,6}(?= |$)|[-+](?= |$|[-=])|=+$)|([0-9]{1,9})([.)])(?= |$)")


def plain(text: str) -> str:
    """Return one line of Markdown that shows a text; line breaks become spaces.

    Control characters become replacement characters, since a terminal might obey them.
    """
    shown = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c
        for c in " ".join(text.split())
    )
    escaped = _ANYWHERE.sub(lambda character: "\\" + character[0], shown)
    return _AT_START.sub(_escape_start, escaped, count=1) if _AT_START.match(escaped) else escaped


def plain_texts(value: Any) -> Any:
    """Return a card's content with every text in it made plain, keys included.

    Names of the card's own parts are words joined by underscores, which stay as they are.
    """
    if isinstance(value, dict):
        return {plain_texts(key): plain_texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_texts(item) for item in value]
    return plain(value) if isinstance(value, str) else value


def _escape_start(start: re.Match[str]) -> str:
    return f"\\{start[1]}" if start[1] else f"{start[2]}\\{start[3]}"
