"""Collect a model card's content from the registry, exactly as it was registered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kyros_spark.fitting.left_out import account_in, is_account
from kyros_spark.model.artefact import Model
from kyros_spark.publishing.changes import champion_before, change
from kyros_spark.publishing.factors import factors
from kyros_spark.registry import Entry, champion_of
from kyros_spark.registry.gate import budget_measures, deviance_name, faults, incomparable

_PARTS = ("train", "valid", "test")


def card(
    entry: Entry,
    model: Model,
    entries: Sequence[Entry],
    relativities: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the card as a JSON-compatible dictionary.

    entries: all registered versions. relativities: this version's rows of table relativities, if
    there are any.
    """
    settings = entry.settings
    content = {
        "model": {
            "name": entry.name,
            "version": entry.version,
            "status": entry.status,
            "description": settings.get("description"),
            "method": entry.method,
            "family": entry.family,
            "link": model.manifest.link,
            "target": entry.target,
            "per": entry.per,
            "deviance": deviance_name(entry),
        },
        "purpose": settings.get("purpose"),
        "exclusions": list(settings.get("exclusions") or ()),
        "limits": list(settings.get("limits") or ()),
        "data": _data(entry),
        "factors": factors(entry, model, relativities),
        "validation": _validation(entry),
        "fit": _fit(entry),
        "gate": _gate(entry, champion_of(entry.name, entries)),
        "change": change(entry, champion_before(entry, entries)),
        "provenance": _provenance(entry),
    }
    return {key: _finite(value) for key, value in content.items()}


def _finite(value: Any) -> Any:
    """Replace NaN and infinite numbers, which JSON does not have, by None at any depth."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _data(entry: Entry) -> dict[str, Any]:
    account = account_in(entry.metrics)
    return {
        "batches": entry.batch.split("+"),
        "inputs": dict(sorted(entry.inputs.items())),
        "rows": {
            part: int(entry.metrics[f"{part}_rows"])
            for part in _PARTS
            if f"{part}_rows" in entry.metrics
        },
        "account": None if account is None else account.details(),
    }


def _validation(entry: Entry) -> dict[str, dict[str, float]]:
    """Return the metrics by part, each a mean over its rows or units."""
    by_part: dict[str, dict[str, float]] = {}
    for part in _PARTS:
        metrics = {k: v for k, v in sorted(entry.metrics.items()) if k.startswith(f"{part}_")}
        if metrics:
            by_part[part] = {key.removeprefix(f"{part}_"): v for key, v in metrics.items()}
    return by_part


def _fit(entry: Entry) -> dict[str, float]:
    """Return what the fit says of itself: totals over its rows, and neither a part's nor a cost."""
    cost = set(entry.cost)
    return {
        key: value
        for key, value in sorted(entry.metrics.items())
        if key.partition("_")[0] not in _PARTS and key not in cost and not is_account(key)
    }


def _gate(entry: Entry, champion: Entry | None) -> dict[str, Any]:
    rival = None if champion is None or champion.version == entry.version else champion
    reasons = faults(entry, rival)
    challenge = entry.quality.get("not_worse_than_champion")
    thresholds = entry.quality.get("thresholds", {})
    budgets = {key: limit for key, limit in entry.budgets.items() if limit is not None}
    return {
        "verdict": _verdict(entry, reasons, bool(thresholds or challenge or budgets)),
        # A champion was judged against the one before it, not against itself.
        "reasons": [] if entry.status == "champion" else reasons,
        "quality": [
            {"metric": name, **bound, "measured": entry.metrics.get(name)}
            for name, bound in sorted(thresholds.items())
        ],
        "not_worse_than_champion": challenge,
        "not_compared": incomparable(entry, rival) if challenge and rival else None,
        "budgets": [
            {"budget": name, "declared": limit, "measured": entry.cost.get(budget_measures(name))}
            for name, limit in sorted(budgets.items())
        ],
        "promoted_at": _iso(entry.promoted_at),
        "promoted_by": entry.promoted_by or None,
        "promoted_reason": entry.promoted_reason or None,
    }


def _verdict(entry: Entry, reasons: Sequence[str], is_declared: bool) -> str:
    if entry.status != "candidate":
        return "passed" if is_declared else "passed: nothing was declared"
    if reasons:
        return "refused"
    return "would pass" if is_declared else "would pass: nothing was declared"


def _provenance(entry: Entry) -> dict[str, Any]:
    return {
        "trained_at": _iso(entry.trained_at),
        "run_id": entry.run_id,
        "file": entry.path,
        "sha256": entry.sha256,
        "feature_spec_hash": entry.feature_spec_hash,
        "fingerprint": entry.fingerprint,
        "git_commit": entry.git_commit,
        "code_hash": entry.code_hash,
        "libraries": dict(sorted(entry.libraries.items())),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
