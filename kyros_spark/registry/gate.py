"""Judge a model version by the thresholds and budgets declared before it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.config import OWN_PARAMETERS
from kyros_spark.errors import GateError
from kyros_spark.registry.entry import Entry

# Each budget, the measurement it bounds, and whether it bounds it from below.
_BUDGETS = {
    "min_rows_per_second": ("rows_per_second", True),
    "max_model_bytes": ("model_bytes", False),
    "max_first_score_seconds": ("first_score_seconds", False),
}


def faults(entry: Entry, champion: Entry | None) -> list[str]:
    """Return a sentence for each threshold and budget that a version fails; a pass gives none.

    champion: the reigning version of its name, which it would replace.
    """
    failed = budget_faults(entry.budgets, entry.cost)
    failed += [
        f"{metric}: expected a number, found {value:g}"
        for metric, value in sorted(entry.metrics.items())
        if metric.endswith("_deviance") and not math.isfinite(value)
    ]
    for metric, bound in entry.quality.get("thresholds", {}).items():
        failed += _outside(
            f"quality.{metric}", entry.metrics.get(metric), bound["min"], bound["max"]
        )
    challenge = entry.quality.get("not_worse_than_champion")
    if challenge and champion is not None and not incomparable(entry, champion):
        failed += _worse(entry, champion, challenge)
    return failed


def budget_faults(budgets: Mapping[str, float | None], cost: Mapping[str, float]) -> list[str]:
    """Return a sentence for each budget that the measured cost breaks."""
    failed: list[str] = []
    for budget, (measured, from_below) in _BUDGETS.items():
        limit = budgets.get(budget)
        least, most = (limit, None) if from_below else (None, limit)
        failed += _outside(f"budgets.{budget}", cost.get(measured), least, most)
    return failed


def budget_measures(budget: str) -> str:
    """Return the measurement that a budget bounds."""
    return _BUDGETS[budget][0]


def incomparable(entry: Entry, champion: Entry) -> str | None:
    """Return why the metrics of two versions cannot be compared, or None if they can."""
    if not entry.inputs or entry.inputs != champion.inputs:
        return f"champion {champion.reference} was trained on other data"
    ours, theirs = measure_of(entry), measure_of(champion)
    if ours != theirs:
        return f"champion {champion.reference} is measured by {theirs}, not {ours}"
    return None


def refusal(entry: Entry, champion: Entry | None, reasons: Sequence[str]) -> GateError:
    """Return the error that lists the numbers that keep a version from becoming champion."""
    is_other = champion is not None and champion.version != entry.version
    reigns = (
        f"champion {champion.reference} stays" if champion and is_other else "there is no champion"
    )
    return GateError(
        f"model {entry.reference} stays {entry.status}: {'; '.join(reasons)}; {reigns}. These are "
        "the thresholds and budgets declared before it was trained: changing the settings now has "
        "no effect on it; train a version that meets them, or one with others declared"
    )


def measure_of(entry: Entry) -> str:
    """Return the name of the measure that a version's metrics are in."""
    return f"{deviance_name(entry)} of {entry.target} per {entry.per}"


def deviance_name(entry: Entry) -> str:
    """Return the name of a version's deviance: its family, and the power or theta of that."""
    parameter = OWN_PARAMETERS.get(entry.family)
    if parameter is None:
        return f"{entry.family} deviance"
    value = own_parameter(entry)
    if value is None:
        return f"{entry.family} deviance, {parameter} not recorded,"
    return f"{entry.family} {value:.6g} deviance"


def own_parameter(entry: Entry) -> float | None:
    """Return a version's Tweedie power or theta, fitted or given; None if it is not recorded.

    A version of an earlier package has a given one among its settings alone; an import has none.
    """
    parameter = OWN_PARAMETERS.get(entry.family, "")
    value = entry.metrics.get(parameter, entry.settings.get(parameter))
    return float(value) if isinstance(value, int | float) else None


def _outside(label: str, value: float | None, least: float | None, most: float | None) -> list[str]:
    """Return the bounds that a value breaks; a missing value and NaN break every bound."""
    shown = "none" if value is None else f"{value:.9g}"
    broken = []
    if least is not None and (value is None or not value >= least):
        broken.append(f"{label}: expected at least {least:.9g}, found {shown}")
    if most is not None and (value is None or not value <= most):
        broken.append(f"{label}: expected at most {most:.9g}, found {shown}")
    return broken


def _worse(entry: Entry, champion: Entry, challenge: Mapping[str, Any]) -> list[str]:
    metric, tolerance = challenge["metric"], challenge["tolerance"]
    theirs = champion.metrics.get(metric)
    label = f"not_worse_than_champion, {metric} against {champion.reference}"
    if theirs is None:
        return [f"{label}: expected a number of the champion, found none"]
    margin = tolerance * abs(theirs)
    higher_is_better = metric.endswith("_d2")
    least, most = (theirs - margin, None) if higher_is_better else (None, theirs + margin)
    return _outside(label, entry.metrics.get(metric), least, most)
