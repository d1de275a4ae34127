"""Define what all sections of the settings share: frozen, closed, text where YAML reads numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from kyros_spark.config.yaml_values import SpelledFloat, SpelledInt

BATCH_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
NAME_PATTERN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
# A portfolio's name is shown and stored, but stands in no path and no table's name.
PORTFOLIO_PATTERN = re.compile(r"^[^\W_](?:[\w .-]{0,126}[\w.-])?\Z")
_CATALOG_PATTERN = re.compile(r"^[^\W\d][\w-]{0,126}(?:\.[^\W\d][\w-]{0,126})?\Z")
RESERVED = frozenset({"batch_id", "run_id", "split", "input_hash"})


def _as_text(value: Any) -> Any:
    # YAML reads 2024 and 1.0 as numbers; batch ids and raw cells are the text that was written.
    if isinstance(value, bool):
        raise ValueError(
            "expected a text, found a word that YAML reads as true or false: put it in quotes"
        )
    if isinstance(value, (SpelledInt, SpelledFloat)):
        return value.spelling
    return str(value) if isinstance(value, (int, float, date)) else value


def _date_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, date) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Bound = Annotated[float | str | None, BeforeValidator(_date_as_text)]


def alike(names: Iterable[str]) -> list[str]:
    """Return the lower-cased names that occur more than once, since SQL ignores case."""
    folded = Counter(name.lower() for name in names)
    return sorted(name for name, count in folded.items() if count > 1)


def check_name(setting: str, name: str) -> None:
    """Refuse a name that SQL would have to quote, or a path to escape.

    Raises:
        ValueError: names the setting, the pattern and the name.
    """
    if not NAME_PATTERN.match(name):
        raise ValueError(
            f"{setting}: expected a plain name (letters, digits and _, 128 at most, no digit "
            f"first), found {name!r}"
        )


def check_batch(setting: str, batch: str) -> None:
    """Refuse a batch id that could not stand in a path or a table as it is.

    Raises:
        ValueError: names the setting, the pattern and the id.
    """
    if not BATCH_PATTERN.match(batch):
        raise ValueError(
            f"{setting}: batch id '{batch}': expected letters, digits, '.', '_', '-' (64 at most), "
            "starting with a letter or a digit"
        )


def check_catalog(name: str | None) -> str | None:
    """Return a schema's name in a catalog as it is given.

    Raises:
        ValueError: it is not of one or two plain names.
    """
    if name is not None and not _CATALOG_PATTERN.match(name):
        raise ValueError(f"expected catalog.schema, each a plain name, found {name!r}")
    return name


class Section(BaseModel):
    """A section of the settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
