"""Arrange the evaluation's rows for the report: one section per target, its models together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyros_spark.evaluation.report.measured import measures

Row = Mapping[str, Any]
PART_ORDER = ("test", "valid", "train", "all")
_WIDE, _THIRD, _SMALL = (9.2, 3.0), (3.7, 3.0), (3.1, 2.9)
_DOUBLE_LIFT = {"kind": "double_lift", "size": _THIRD}


@dataclass(frozen=True)
class EvaluationRows:
    """The rows of the three evaluation tables for one batch and run, and what to show of them.

    part          the part that charts and tables show
    min_exposure  levels of fewer units are hidden
    """

    metrics: Sequence[Row]
    factors: Sequence[Row]
    lift: Sequence[Row]
    part: str
    min_exposure: float

    def chart(self, kind: str, model: str, other: str = "") -> list[Row]:
        """Return the rows of a chart, by segment and quantile."""
        rows = [
            row
            for row in self.lift
            if (row["chart"], row["model_name"], row["other_model"], row["part"])
            == (kind, model, other, self.part)
        ]
        return sorted(rows, key=lambda row: (row["segment"], row["quantile"]))


def sections(evaluation: EvaluationRows) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the sections, and the charts they name as specifications for `report.plots`.

    The functions below each add their charts to ``charts``, under names that begin with
    ``prefix``.
    """
    charts: dict[str, dict[str, Any]] = {}
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in evaluation.metrics:
        models = groups.setdefault((row["target"], row["per"]), [])
        if row["model_name"] not in models:
            models.append(row["model_name"])
    content = []
    for number, ((target, per), models) in enumerate(groups.items()):
        prefix = f"s{number}"
        rows = [r for r in evaluation.metrics if r["model_name"] in models]
        rows.sort(key=lambda r: (models.index(r["model_name"]), PART_ORDER.index(r["part"])))
        section = {
            "title": f"{target} per {per}" if target else "Models that are not judged",
            "measures": measures(rows),
            "metrics": rows,
            "probabilities": any(row["family"] == "binomial" for row in rows),
            "absent": _absent(rows),
            "lorenz": _lorenz(evaluation, models, charts, prefix),
            "lift": _lift(evaluation, models, charts, prefix),
            "calibration": _calibration(evaluation, models, charts, prefix),
            "points": {m: points for m in models if (points := evaluation.chart("calibration", m))},
            "pairs": _pairs(evaluation, models, charts, prefix),
            "factors": _factors(evaluation, models, charts, prefix),
        }
        content.append(section)
    return content, charts


def _absent(rows: Iterable[Row]) -> list[str]:
    """Return why metrics are missing: each reason once, with the metrics it concerns."""
    reasons: dict[str, set[str]] = {}
    for row in rows:
        for metric, reason in row["absent"].items():
            reasons.setdefault(reason, set()).add(metric)
    return [f"{', '.join(sorted(names))}: {reason}" for reason, names in sorted(reasons.items())]


def _lorenz(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> str:
    ginis = {r["model_name"]: r["gini"] for r in evaluation.metrics if r["part"] == evaluation.part}
    lines = []
    for model in models:
        points = [r for r in evaluation.chart("lorenz", model) if r["observed_share"] is not None]
        if points:
            x, y = [r["units_share"] for r in points], [r["observed_share"] for r in points]
            lines.append({"name": model, "gini": ginis.get(model), "x": x, "y": y})
    if not lines:
        return ""
    charts[f"{prefix}-lorenz"] = {"kind": "lorenz", "title": "Lorenz curves", "lines": lines}
    return f"{prefix}-lorenz"


def _lift(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> str:
    lines = []
    for model in models:
        points = [r for r in evaluation.chart("calibration", model) if r["lift"] is not None]
        if points:
            x, y = [r["quantile"] for r in points], [r["lift"] for r in points]
            lines.append({"name": model, "x": x, "y": y})
    if not lines:
        return ""
    charts[f"{prefix}-lift"] = {"kind": "lift", "title": "Lift", "lines": lines}
    return f"{prefix}-lift"


def _calibration(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> dict[str, str]:
    names = {}
    for number, model in enumerate(models):
        points = [r for r in evaluation.chart("calibration", model) if r["upper"] is not None]
        if points:
            charts[f"{prefix}-calibration-{model}"] = {
                "kind": "calibration",
                "title": f"Calibration of {model}",
                "number": number,
                "size": _SMALL,
                "expected": [r["expected_mean"] for r in points],
                "observed": [r["observed_mean"] for r in points],
                "lower": [r["lower"] * r["expected_mean"] for r in points],
                "upper": [r["upper"] * r["expected_mean"] for r in points],
            }
            names[model] = f"{prefix}-calibration-{model}"
    return names


def _pairs(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> list[dict[str, Any]]:
    keys = {
        (r["model_name"], r["other_model"])
        for r in evaluation.lift
        if r["other_model"] and r["model_name"] in models
    }
    content = []
    for number, (new, old) in enumerate(sorted(keys)):
        name = f"{prefix}-pair{number}"
        points = evaluation.chart("double_lift", new, old)
        moves = evaluation.chart("dislocation", new, old)
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
        content.append(pair)
    return content


def _double_lift(points: Sequence[Row], new: str, old: str) -> dict[str, Any]:
    names = {"observed": "observed", new: "expected", old: "other_expected"}
    units = sum(r["units"] for r in points)
    lines = []
    for name, column in names.items():
        mean = sum(r[column] for r in points) / units
        y = [r[column] / r["units"] / mean if mean else None for r in points]
        lines.append({"name": name, "x": [r["quantile"] for r in points], "y": y})
    title = f"Double lift of {new} and {old}"
    return {**_DOUBLE_LIFT, "title": title, "ylabel": "mean / overall", "lines": lines}


def _loss_ratio(points: Sequence[Row], old: str) -> dict[str, Any]:
    x, y = [r["quantile"] for r in points], [r["other_actual_expected"] for r in points]
    lines = [{"name": "observed", "x": x, "y": y}]
    ylabel = "observed / old expected"
    return {**_DOUBLE_LIFT, "title": f"On {old}", "ylabel": ylabel, "lines": lines}


def _by_segment(moves: Iterable[Row]) -> dict[str, list[Row]]:
    segments: dict[str, list[Row]] = {}
    for row in moves:
        segments.setdefault(row["segment"], []).append(row)
    return segments


def _factors(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, dict[str, Row]]] = {}
    for row in sorted(evaluation.factors, key=lambda r: r["level_order"]):
        if row["part"] == evaluation.part and row["model_name"] in models:
            levels = rows.setdefault(row["factor"], {}).setdefault(row["level"], {})
            levels[row["model_name"]] = row
    content: list[dict[str, Any]] = []
    for factor, by_level in rows.items():
        last_rows = {m: row for by_model in by_level.values() for m, row in by_model.items()}
        shown = {
            level: by_model
            for level, by_model in by_level.items()
            if max(row["units"] for row in by_model.values()) >= evaluation.min_exposure
        }
        block: dict[str, Any] = {
            "name": factor,
            "users": [m for m in models if m in last_rows and last_rows[m]["used"]],
            "levels": shown,
            "models": list(last_rows),
            "hidden": len(by_level) - len(shown),
            "chart": "",
        }
        if shown and any(row["lower"] is not None for row in last_rows.values()):
            block["chart"] = f"{prefix}-factor-{factor}"
            charts[block["chart"]] = _factor(factor, shown, list(last_rows))
        content.append(block)
    return sorted(content, key=lambda block: (not block["users"], block["name"]))


def _factor(
    factor: str, levels: Mapping[str, Mapping[str, Row]], models: Sequence[str]
) -> dict[str, Any]:
    first = [next(iter(by_model.values())) for by_model in levels.values()]
    lines = []
    for model in models:
        points = [by_model.get(model) for by_model in levels.values()]
        ends = {
            column: [row[name] if row else None for row in points]
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
