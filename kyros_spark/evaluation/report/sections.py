"""Arrange the evaluation's rows as the report shows them: a section a target, models beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
PART_ORDER = ("test", "valid", "train", "all")
_WIDE, _THIRD, _SMALL = (9.2, 3.0), (3.7, 3.0), (3.1, 2.9)


@dataclass(frozen=True)
class Told:
    """The rows of the three tables, of one batch and run, and what of them is shown."""

    metrics: Sequence[Row]
    factors: Sequence[Row]
    lift: Sequence[Row]
    part: str
    min_exposure: float

    def chart(self, kind: str, model: str, other: str = "") -> list[Row]:
        """Return the points of a chart, in order."""
        rows = [
            row
            for row in self.lift
            if (row["chart"], row["model_name"], row["other_model"], row["part"])
            == (kind, model, other, self.part)
        ]
        return sorted(rows, key=lambda row: (row["segment"], row["quantile"]))


def sections(told: Told) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the sections, and the charts they name, as `report.plots` draws them."""
    charts: dict[str, dict[str, Any]] = {}
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in told.metrics:
        models = groups.setdefault((row["target"], row["per"]), [])
        if row["model_name"] not in models:
            models.append(row["model_name"])
    found = []
    for number, ((target, per), models) in enumerate(groups.items()):
        mine = f"s{number}"
        rows = [r for r in told.metrics if r["model_name"] in models]
        rows.sort(key=lambda r: (models.index(r["model_name"]), PART_ORDER.index(r["part"])))
        section = {
            "title": f"{target} per {per}" if target else "Models that are not judged",
            "family": rows[0]["family"],
            "metrics": rows,
            "absent": _absent(rows),
            "lorenz": _lorenz(told, models, charts, mine),
            "lift": _lift(told, models, charts, mine),
            "calibration": _calibration(told, models, charts, mine),
            "points": {m: points for m in models if (points := told.chart("calibration", m))},
            "pairs": _pairs(told, models, charts, mine),
            "factors": _factors(told, models, charts, mine),
        }
        found.append(section)
    return found, charts


def _absent(rows: Iterable[Row]) -> list[str]:
    """Return why metrics are missing, each reason once, with what it concerns."""
    reasons: dict[str, set[str]] = {}
    for row in rows:
        for metric, why in row["absent"].items():
            reasons.setdefault(why, set()).add(metric)
    return [f"{', '.join(sorted(names))}: {why}" for why, names in sorted(reasons.items())]


def _lorenz(told: Told, models: Sequence[str], charts: dict[str, Any], mine: str) -> str:
    ginis = {r["model_name"]: r["gini"] for r in told.metrics if r["part"] == told.part}
    lines = []
    for model in models:
        points = [r for r in told.chart("lorenz", model) if r["observed_share"] is not None]
        if points:
            x, y = [r["units_share"] for r in points], [r["observed_share"] for r in points]
            lines.append({"name": model, "gini": ginis.get(model), "x": x, "y": y})
    if not lines:
        return ""
    charts[f"{mine}-lorenz"] = {"kind": "lorenz", "title": "Lorenz curves", "lines": lines}
    return f"{mine}-lorenz"


def _lift(told: Told, models: Sequence[str], charts: dict[str, Any], mine: str) -> str:
    lines = []
    for model in models:
        points = [r for r in told.chart("calibration", model) if r["lift"] is not None]
        if points:
            x, y = [r["quantile"] for r in points], [r["lift"] for r in points]
            lines.append({"name": model, "x": x, "y": y})
    if not lines:
        return ""
    charts[f"{mine}-lift"] = {"kind": "lift", "title": "Lift", "lines": lines}
    return f"{mine}-lift"


def _calibration(
    told: Told, models: Sequence[str], charts: dict[str, Any], mine: str
) -> dict[str, str]:
    found = {}
    for number, model in enumerate(models):
        points = [r for r in told.chart("calibration", model) if r["upper"] is not None]
        if points:
            charts[f"{mine}-calibration-{model}"] = {
                "kind": "calibration",
                "title": f"Calibration of {model}",
                "number": number,
                "size": _SMALL,
                "expected": [r["expected_mean"] for r in points],
                "observed": [r["observed_mean"] for r in points],
                "lower": [r["lower"] * r["expected_mean"] for r in points],
                "upper": [r["upper"] * r["expected_mean"] for r in points],
            }
            found[model] = f"{mine}-calibration-{model}"
    return found


def _pairs(
    told: Told, models: Sequence[str], charts: dict[str, Any], mine: str
) -> list[dict[str, Any]]:
    keys = {
        (r["model_name"], r["other_model"])
        for r in told.lift
        if r["other_model"] and r["model_name"] in models
    }
    found = []
    for number, (new, old) in enumerate(sorted(keys)):
        name = f"{mine}-pair{number}"
        points = told.chart("double_lift", new, old)
        moves = told.chart("dislocation", new, old)
        pair: dict[str, Any] = {"new": new, "old": old, "points": points, "charts": []}
        if points and points[0]["observed"] is not None:
            charts[f"{name}-lift"] = _double_lift(points, new, old)
            charts[f"{name}-ratio"] = _loss_ratio(points, old)
            pair["charts"] += [
                (f"{name}-lift", "Double lift"),
                (f"{name}-ratio", "Loss ratio on the old price"),
            ]
        if moves:
            bands = moves[0]["bands"]
            charts[f"{name}-moves"] = {
                "kind": "dislocation",
                "title": f"{new} against {old}",
                "size": _THIRD,
                "bands": list(bands),
                "shares": list(bands.values()),
            }
            pair["charts"].append((f"{name}-moves", "Dislocation: change from old to new"))
        pair["whole"], pair["moves"] = moves[:1], _by_segment(moves[1:])
        found.append(pair)
    return found


def _double_lift(points: Sequence[Row], new: str, old: str) -> dict[str, Any]:
    names = {"observed": "observed", new: "expected", old: "other_expected"}
    units = sum(r["units"] for r in points)
    lines = []
    for name, column in names.items():
        mean = sum(r[column] for r in points) / units
        y = [r[column] / r["units"] / mean if mean else None for r in points]
        lines.append({"name": name, "x": [r["quantile"] for r in points], "y": y})
    title = f"Double lift of {new} and {old}"
    told = {"kind": "double_lift", "title": title, "size": _THIRD, "ylabel": "mean / overall"}
    return {**told, "lines": lines}


def _loss_ratio(points: Sequence[Row], old: str) -> dict[str, Any]:
    x, y = [r["quantile"] for r in points], [r["other_actual_expected"] for r in points]
    lines = [{"name": "observed", "x": x, "y": y}]
    told = {"kind": "double_lift", "title": f"On {old}", "size": _THIRD}
    return {**told, "ylabel": "observed / old expected", "lines": lines}


def _by_segment(moves: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in moves:
        found.setdefault(row["segment"], []).append(row)
    return found


def _factors(
    told: Told, models: Sequence[str], charts: dict[str, Any], mine: str
) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, dict[str, Row]]] = {}
    for row in sorted(told.factors, key=lambda r: r["level_order"]):
        if row["part"] == told.part and row["model_name"] in models:
            levels = rows.setdefault(row["factor"], {}).setdefault(row["level"], {})
            levels[row["model_name"]] = row
    found: list[dict[str, Any]] = []
    for factor, by_level in rows.items():
        known = {m: row for by in by_level.values() for m, row in by.items()}
        shown = {
            level: by
            for level, by in by_level.items()
            if max(row["units"] for row in by.values()) >= told.min_exposure
        }
        users = [m for m in models if m in known and known[m]["used"]]
        name = f"{mine}-factor-{factor}"
        told_of: dict[str, Any] = {
            "name": factor,
            "users": users,
            "levels": shown,
            "models": list(known),
        }
        found.append({**told_of, "hidden": len(by_level) - len(shown), "chart": ""})
        if shown and any(row["lower"] is not None for row in known.values()):
            charts[name] = _factor(factor, shown, list(known))
            found[-1]["chart"] = name
    return sorted(found, key=lambda one: (not one["users"], one["name"]))


def _factor(
    factor: str, levels: Mapping[str, Mapping[str, Row]], models: Sequence[str]
) -> dict[str, Any]:
    first = [next(iter(by.values())) for by in levels.values()]
    lines = []
    for model in models:
        told = [by.get(model) for by in levels.values()]
        ends = {
            column: [row[name] if row else None for row in told]
            for column, name in (("y", "actual_expected"), ("lower", "lower"), ("upper", "upper"))
        }
        lines.append({"name": model, **ends})
    return {
        "kind": "factor",
        "title": f"Actual over expected by {factor}",
        "size": _WIDE,
        "levels": list(levels),
        "shares": [row["units_share"] for row in first],
        "lines": lines,
    }
