"""Find how a CSV file is written: its delimiter, whether it has a header, its encoding.

Lines are read by Python's csv module, as RFC 4180 has them. Its Sniffer alone is not enough: it
takes the decimal comma of `P1;26;0,5` for the delimiter, and finds no header over texts. So each
delimiter is tried, and judged by whether the lines agree and the fields make sense, as the
CleverCSV of Van den Burg, Nazabal and Sutton (2019) does.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kyros_spark.transforms.raw_texts import DATE_LIKE, MISSING_TEXTS, NUMBER_LIKE

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_REPLACEMENT = "\ufffd"  # what a decoder puts in place of bytes that are no UTF-8
_ENOUGH_LINES = 20  # to say of a text that it never comes back


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    evidence: a sentence for each guess. decisions: those of them that a person should confirm.
    """

    delimiter: str = ","
    has_header: bool = True
    encoding: str | None = None
    evidence: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()

    def options(self) -> dict[str, str]:
        """Return the options of the Spark reader that differ from its defaults."""
        options = {} if self.delimiter == "," else {"sep": self.delimiter}
        options |= {} if self.has_header else {"header": "false"}
        return options | ({} if self.encoding is None else {"encoding": self.encoding})


def dialect_of(lines: Sequence[str]) -> Dialect:
    """Return how the file whose first lines these are is written."""
    is_utf8 = not any(_REPLACEMENT in line for line in lines)
    lines = [line for line in lines if line.strip()]
    widths = {sep: _rows(lines, sep) for sep in DELIMITERS}
    scores = {sep: _score(rows) for sep, rows in widths.items()}
    delimiter = max(scores, key=lambda sep: scores[sep])
    if not scores[delimiter]:
        delimiter = ","
    rows = widths[delimiter]
    width = _width(rows)
    alike = sum(len(row) == width for row in rows)
    evidence = [f"{alike} of the first {len(rows)} lines have {width} fields between "
                f"{DELIMITERS[delimiter]}s"]  # fmt: skip
    has_header, reason = _header([row for row in rows if len(row) == width])
    evidence.append(reason)
    decisions = [] if has_header else [f"no header: {reason}; name the columns"]
    if not is_utf8:
        evidence.append("bytes that are not UTF-8: windows-1252 is a guess")
        decisions.append("options.encoding: the bytes are not UTF-8; windows-1252 is a guess")
    encoding = None if is_utf8 else "windows-1252"
    return Dialect(delimiter, has_header, encoding, tuple(evidence), tuple(decisions))


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []


def _width(rows: list[list[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 1


def _score(rows: list[list[str]]) -> float:
    """Return the share of lines of one width, times that of fields that are whole values."""
    width = _width(rows)
    if width < 2:
        return 0.0
    fields = [field for row in rows if len(row) == width for field in row]
    share = sum(len(row) == width for row in rows) / len(rows)
    return share * sum(map(_is_value, fields)) / len(fields)


def _is_value(field: str) -> bool:
    """Tell whether a field is empty, a number, a date, or a text that holds no delimiter."""
    field = field.strip()
    if not field or NUMBER_LIKE.fullmatch(field) or DATE_LIKE.fullmatch(field):
        return True
    return not re.search(r"[,;\t|]", field)


def _header(rows: list[list[str]]) -> tuple[bool, str]:
    """Tell whether the first line names the columns, and why."""
    if not rows:
        return True, "there are no lines to see a header by"
    first, body = [name.strip() for name in rows[0]], rows[1:]
    values = [
        name
        for place, name in enumerate(first)
        if NUMBER_LIKE.fullmatch(name)
        or DATE_LIKE.fullmatch(name)
        or name in MISSING_TEXTS
        or (not name and place)  # R leaves the name of its row names empty
    ]
    if values:
        return False, f"the first line holds a value, '{values[0]}'"
    contrast = [
        name for name, column in zip(first, zip(*body, strict=False), strict=False)
        if _mostly_numbers(column)
    ]  # fmt: skip
    if contrast:
        return True, f"the first line names '{contrast[0]}', whose values are numbers or dates"
    again = [name for name, column in zip(first, zip(*body, strict=False), strict=False)
             if name in map(str.strip, column)]  # fmt: skip
    if again:
        return False, f"'{again[0]}' of the first line comes again below it"
    if len(body) < _ENOUGH_LINES:
        return True, f"nothing of the first line comes again in the {len(body)} lines below it"
    return True, "nothing of the first line comes again below it"


def _mostly_numbers(column: Sequence[str]) -> bool:
    filled = [v.strip() for v in column if v.strip() and v.strip() not in MISSING_TEXTS]
    numbers_or_dates = sum(bool(NUMBER_LIKE.fullmatch(v) or DATE_LIKE.fullmatch(v)) for v in filled)
    return bool(filled) and numbers_or_dates >= 0.9 * len(filled)
