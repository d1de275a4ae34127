"""Compute metrics from sums, on the driver: a few numbers a model and part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LOSSES = ("deviance", "null_deviance", "null_deviance_whole", "absolute", "square")
METRICS = (
    "actual_expected",
    "balance",
    "deviance_per_row",
    "deviance_per_exposure",
    "null_deviance_per_row",
    "null_deviance_per_exposure",
    "d2",
    "mae",
    "rmse",
)


def added(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the sums over rows; None where no row has one."""
    found = {}
    told = list(rows)
    for name in names:
        known = [row[name] for row in told if row[name] is not None]
        found[name] = math.fsum(known) if known else None
    return found


def metrics(sums: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics of a part from its sums.

    sums: rows, units, observed, expected and LOSSES. A metric without a denominator is None.
    """
    rows, units, null = sums["rows"], sums["units"], sums["null_deviance"]
    found = {
        "actual_expected": ratio(sums["observed"], sums["expected"]),
        "balance": ratio(sums["expected"], sums["observed"]),
        "deviance_per_row": ratio(sums["deviance"], rows),
        "deviance_per_exposure": ratio(sums["deviance"], units),
        "null_deviance_per_row": ratio(null, rows),
        "null_deviance_per_exposure": ratio(null, units),
        "mae": ratio(sums["absolute"], rows),
    }
    left, square = ratio(sums["deviance"], null), ratio(sums["square"], rows)
    found["d2"] = None if left is None else 1 - left
    found["rmse"] = None if square is None else math.sqrt(square)
    return {name: found[name] for name in METRICS}


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return a ratio; None where either is not known, or there is nothing to divide by."""
    if part is None or not whole or math.isnan(part) or math.isnan(whole):
        return None
    return part / whole


def psi(shares: Sequence[float], reference: Sequence[float], least: float = 1e-6) -> float:
    """Return the population stability index; an empty bin counts as ``least`` of the exposure."""
    pairs = [(max(p, least), max(q, least)) for p, q in zip(shares, reference, strict=True)]
    return math.fsum((p - q) * math.log(p / q) for p, q in pairs)
