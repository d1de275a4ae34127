"""Compare a version with the champion before it: settings and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.registry import Entry, champion_of
from kyros_spark.registry.gate import measure_of

_MEASURED = ("_deviance", "_d2")  # metrics that depend on the family, and its power or theta


def champion_before(entry: Entry, entries: Sequence[Entry]) -> Entry | None:
    """Return the champion that a version replaced, or would replace."""
    past = [
        e
        for e in entries
        if e.name == entry.name and e.version != entry.version and e.promoted_at is not None
        and (entry.promoted_at is None or e.promoted_at < entry.promoted_at)
    ]  # fmt: skip
    if past:
        return max(past, key=lambda e: (e.promoted_at, e.version))
    # Older registries did not record when a version was promoted.
    champion = champion_of(entry.name, entries)
    return champion if champion is not None and champion.version != entry.version else None


def change(entry: Entry, before: Entry | None) -> dict[str, Any] | None:
    """Return the settings and metrics that differ from the champion before, as before and now.

    Deviances are left out where the two are measured by different ones.
    """
    if before is None:
        return None
    kept, now = before.metrics, entry.metrics
    if measure_of(before) != measure_of(entry):
        kept, now = (
            {name: value for name, value in metrics.items() if not name.endswith(_MEASURED)}
            for metrics in (kept, now)
        )
    return {
        "since": before.reference,
        "same_data": bool(entry.inputs) and entry.inputs == before.inputs,
        "settings": _differences(flat(before.settings), flat(entry.settings)),
        "metrics": _differences(kept, now),
    }


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one dictionary, by dotted name."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = sorted(set(before) | set(now))
    pairs = {name: {"before": before.get(name), "now": now.get(name)} for name in names}
    return {name: pair for name, pair in pairs.items() if pair["before"] != pair["now"]}
