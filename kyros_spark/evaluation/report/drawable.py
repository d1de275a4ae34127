"""Make the texts of a chart's specification ones that a picture can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import category

UNDRAWABLE = ("Cc", "Cs")  # control characters and surrogates


def drawable(value: Any) -> Any:
    """Return a specification whose texts can be drawn: others become replacement characters."""
    if isinstance(value, Mapping):
        return {key: drawable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [drawable(item) for item in value]
    if not isinstance(value, str):
        return value
    return "".join("\N{REPLACEMENT CHARACTER}" if category(c) in UNDRAWABLE else c for c in value)
