"""Read JSON that others wrote: two readers must not see two documents in it."""

import json
from typing import Any

from kyros_spark.errors import ModelFormatError


def read_json(text: str | bytes | bytearray, source: str) -> Any:
    """Return a JSON document.

    source  what the document is, for the error

    Raises ModelFormatError for text that is no JSON, that is nested too deeply, or that has a key
    twice in one object: of two values, one reader takes the first and another the last.
    """
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, source))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{source}: not JSON: {str(error)[:200]}") from None


def _object(pairs: list[tuple[str, Any]], source: str) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ModelFormatError(f"{source}: key {key[:100]!r} occurs twice in one object")
    return values
