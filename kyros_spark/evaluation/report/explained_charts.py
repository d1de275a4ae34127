"""Turn explanations into the numbers of charts: rows of the tables in, specifications out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Spec = dict[str, Any]
MOST_FEATURES = 12
MOST_STEPS = 12


def of_summary(rows: Sequence[Row]) -> dict[str, Spec]:
    """Return the charts of one model's rows of `explanation_summary`: importance and dependences.

    The charts' names are `importance` and `dependence FEATURE`, in order of importance.
    """
    whole = {row["feature"]: row for row in rows if row["segment"] is None and row["level"] is None}
    order = sorted(whole, key=lambda feature: -(whole[feature]["mean_absolute"] or 0.0))
    order = order[:MOST_FEATURES]
    sizes = [whole[feature]["mean_absolute"] or 0.0 for feature in order]
    charts: dict[str, Spec] = {
        "importance": {
            "kind": "importance", "title": "importance of the features", "features": order,
            "sizes": sizes, "size": (6.2, 0.8 + 0.28 * len(order)),
        }
    }  # fmt: skip
    for feature in order:
        by_level = [r for r in rows if r["feature"] == feature and r["level"] is not None]
        charts[f"dependence {feature}"] = _dependence(feature, by_level)
    return charts


def beeswarm(
    features: Sequence[str],
    contributions: Sequence[Sequence[float]],
    shades: Sequence[Sequence[float]],
    link: str,
) -> Spec:
    """Return the chart of a sample. contributions, shades (0 to 1): by feature, per policy."""
    return {
        "kind": "beeswarm", "title": "contributions of a sample", "features": list(features),
        "lanes": [
            {"x": list(x), "shade": list(shade)}
            for x, shade in zip(contributions, shades, strict=True)
        ],
        "xlabel": f"contribution on the scale of the link ({link})",
        "size": (6.6, 0.9 + 0.38 * len(features)),
    }  # fmt: skip


def waterfall(row: Row, unit: str) -> Spec:
    """Return the chart of one row of `explanations`; unit: what the price is of, as text."""
    is_log, link = row["link"] == "log", row["link"]
    listed = [c for c in row["contributions"] if c["contribution"]]
    shown, others = listed[:MOST_STEPS], listed[MOST_STEPS:]
    rest = (row["rest"] or 0.0) + math.fsum(c["contribution"] for c in others)
    steps = [_whole("base", row["base"], is_log)]
    level = row["base"]
    for contribution in shown:
        value = contribution["value"]
        label = f"{contribution['feature']} = {shown_value(value)}"
        steps.append(_step(label, level, contribution["contribution"], is_log))
        level += contribution["contribution"]
    if others:
        steps.append(_step(f"{len(others)} others", level, rest, is_log))
    level += rest
    if row["load"]:
        end = row["prediction"]
        start = end - row["load"]
        note = f"+{row['load']:,.4g}"
        steps.append({"label": "large-loss load", "start": start, "end": end, "note": note,
                      "whole": False})  # fmt: skip
    last = row["prediction"] if is_log or link == "identity" else level
    steps.append({"label": "price", "start": last, "end": last, "note": f"{last:,.6g}",
                  "whole": True})  # fmt: skip
    scale = unit if is_log or link == "identity" else f"{unit}, on the scale of the {link} link"
    return {
        "kind": "waterfall", "title": f"what the price of {row['model_name']} is made of",
        "steps": steps, "logarithmic": is_log, "xlabel": scale,
        "size": (7.4, 0.8 + 0.34 * len(steps)),
    }  # fmt: skip


def _dependence(feature: str, by_level: Iterable[Row]) -> Spec:
    levels = sorted(by_level, key=lambda row: row["level_order"])
    total = math.fsum(row["exposure"] for row in levels) or 1.0
    multiplies = all(row["relativity"] is not None for row in levels)
    key = "relativity" if multiplies else "mean"
    return {
        "kind": "dependence", "title": f"effect of {feature}", "feature": feature,
        "levels": [shown_value(row["level"]) for row in levels],
        "effects": [row[key] or 0.0 for row in levels],
        "shares": [row["exposure"] / total for row in levels],
        "neutral": 1.0 if multiplies else 0.0,
        "ylabel": "mean relativity" if multiplies else "mean contribution",
        "joined": sum("<" in row["level"] or " to " in row["level"] or row["level"].endswith("+")
                      for row in levels),
        "size": (5.3, 3.1),  # two beside each other
    }  # fmt: skip


def _whole(label: str, raw: float, is_log: bool) -> Spec:
    at = math.exp(raw) if is_log else raw
    return {"label": label, "start": at, "end": at, "note": f"{at:,.6g}", "whole": True}


def _step(label: str, level: float, contribution: float, is_log: bool) -> Spec:
    start, end = level, level + contribution
    note = f"{contribution:+.4g}"
    if is_log:
        start, end, note = math.exp(start), math.exp(end), f"×{math.exp(contribution):.3f}"
    return {"label": label, "start": start, "end": end, "note": note, "whole": False}


def shown_value(value: str | None) -> str:
    """Return a policy's level or value at a length that a chart has room for."""
    if value is None:
        return "(missing)"
    try:
        return f"{float(value):,.6g}" if len(value) > 8 else value
    except ValueError:
        return value if len(value) <= 28 else value[:27] + "…"
