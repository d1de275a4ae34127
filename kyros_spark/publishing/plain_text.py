"""Turn texts of data and settings into what a page shows as they are, as Markdown too."""

from __future__ import annotations

import re
import unicodedata

# What is markup anywhere, and `_` except within a word: backslash, code, emphasis, tags and
# entities, links, tables, mathematics, and lines struck out.
_ANYWHERE = re.compile(r"[\\`*<>&\[\]|$~]|(?<![^\W_])_|_(?![^\W_])")
# What is markup at a line's beginning: a heading, a list, a rule, an underlined title.
_AT_START = re.compile(r"(#{1,6}(?= |$)|[-+](?= |$|[-=])|=+$)|([0-9]{1,9})([.)])(?= |$)")


def visible(text: str) -> str:
    """Return a text in one line; line breaks become spaces.

    Control characters become replacement characters, since a terminal might obey them.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c
        for c in " ".join(text.split())
    )


def plain(text: str) -> str:
    """Return one line of Markdown that shows a text, as ``visible`` has it."""
    escaped = _ANYWHERE.sub(lambda character: "\\" + character[0], visible(text))
    return _AT_START.sub(_escape_start, escaped, count=1) if _AT_START.match(escaped) else escaped


def _escape_start(start: re.Match[str]) -> str:
    return f"\\{start[1]}" if start[1] else f"{start[2]}\\{start[3]}"
