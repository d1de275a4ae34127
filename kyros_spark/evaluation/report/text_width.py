"""Estimate how wide a text will be, so that a picture leaves room for it.

The reader's machine chooses the font; these are the widths of Helvetica, and a little more, since
most fonts that stand in for it are wider.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

_WIDTHS = {
    **dict.fromkeys("ijl'|", 0.24),
    **dict.fromkeys("ftI .,:;!/\\[]()-r`", 0.32),
    **dict.fromkeys("ckvxyzsJ*^\"{}", 0.5),
    **dict.fromkeys("ABEKPSVXYZ&CDHNRUw<>=+~", 0.69),
    **dict.fromkeys("GOQMmW%@×", 0.87),
}  # fmt: skip
_OTHERS, _FULL = 0.57, 1.0
_SPARE = 1.12


def text_width(text: str, size: float) -> float:
    """Return the width of a text of a size, in the unit of the size."""
    return _SPARE * size * sum(map(_width, text))


def shortened(text: str, size: float, width: float) -> str:
    """Return a text, or as much of its start as fits in a width, and an ellipsis."""
    if text_width(text, size) <= width:
        return text
    kept = text
    while kept and text_width(f"{kept}…", size) > width:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


def _width(character: str) -> float:
    if combining(character):
        return 0.0
    is_full = east_asian_width(character) in ("W", "F")
    return _FULL if is_full else _WIDTHS.get(character, _OTHERS)
