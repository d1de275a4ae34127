"""Compute metrics from sums, on the driver: a few numbers per model and part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kyros_spark.fitting.metrics import SCORES

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
    *SCORES,
)
# Metrics that a probability alone has; elsewhere they are not missing.
OF_PROBABILITIES = (*SCORES, "auc")


def column_sums(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the sum of each named column over rows; None where no row has a value."""
    totals = {}
    addends = list(rows)
    for name in names:
        values = [row[name] for row in addends if row[name] is not None]
        totals[name] = math.fsum(values) if values else None
    return totals


def metrics(sums: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the METRICS of a part from its sums.

    sums: rows, units, observed, expected, LOSSES and SCORES. A metric whose denominator is missing
    or zero is None.
    """
    rows, units, null = sums["rows"], sums["units"], sums["null_deviance"]
    values = {
        "actual_expected": ratio(sums["observed"], sums["expected"]),
        "balance": ratio(sums["expected"], sums["observed"]),
        "deviance_per_row": ratio(sums["deviance"], rows),
        "deviance_per_exposure": ratio(sums["deviance"], units),
        "null_deviance_per_row": ratio(null, rows),
        "null_deviance_per_exposure": ratio(null, units),
        "mae": ratio(sums["absolute"], rows),
        **{name: ratio(sums[name], units) for name in SCORES},
    }
    unexplained, square = ratio(sums["deviance"], null), ratio(sums["square"], rows)
    values["d2"] = None if unexplained is None else 1 - unexplained
    values["rmse"] = None if square is None else math.sqrt(square)
    return {name: values[name] for name in METRICS}


def order_metrics(
    lorenz: float | None, sums: Mapping[str, Any], is_probability: bool
) -> dict[str, float | None]:
    """Return the Gini and the AUC of a part, from the Gini of its Lorenz curve and its sums.

    With positives P of N trials and ties counted half, that Gini is (1 - P / N) (2 AUC - 1). Of a
    probability the Gini is 2 AUC - 1, which does not shift with the share of positives.
    """
    if not is_probability:
        return {"gini": lorenz, "auc": None}
    share = ratio(sums["observed"], sums["units"])
    if lorenz is None or share is None or share >= 1:
        return {"gini": None, "auc": None}
    gini = lorenz / (1 - share)
    return {"gini": gini, "auc": (1 + gini) / 2}


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return part / whole; None where either is missing or NaN, or the whole is zero."""
    if part is None or not whole or math.isnan(part) or math.isnan(whole):
        return None
    return part / whole


def psi(shares: Sequence[float], reference: Sequence[float], least: float = 1e-6) -> float:
    """Return the population stability index of two distributions over the same bins.

    shares, reference: the bins' shares of exposure, now and in training. A share below ``least``
    counts as ``least``.
    """
    pairs = [(max(p, least), max(q, least)) for p, q in zip(shares, reference, strict=True)]
    return math.fsum((p - q) * math.log(p / q) for p, q in pairs)
