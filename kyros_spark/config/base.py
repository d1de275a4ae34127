"""Define what all sections of the settings share: frozen, closed, text where YAML reads numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

BATCH_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
NAME_PATTERN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
RESERVED = frozenset({"batch_id", "run_id", "split", "input_hash"})


def _as_text(value: Any) -> Any:
    # YAML reads 2024 and 1.0 as numbers and 2024-05-31 as a date; batch ids and raw cells are text.
    has_text_form = isinstance(value, (int, float, date)) and not isinstance(value, bool)
    return str(value) if has_text_form else value


def _date_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, date) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Bound = Annotated[float | str | None, BeforeValidator(_date_as_text)]


def alike(names: Iterable[str]) -> list[str]:
    """Return the lower-cased names that occur more than once, since SQL ignores case."""
    folded = Counter(name.lower() for name in names)
    return sorted(name for name, count in folded.items() if count > 1)


class Section(BaseModel):
    """A section of the settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
