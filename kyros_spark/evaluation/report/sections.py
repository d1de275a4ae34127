"""Arrange the evaluation's rows for the report: one section per target, its models together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kyros_spark.evaluation.report.evaluation_rows import EvaluationRows, Row
from kyros_spark.evaluation.report.factor_blocks import factor_blocks
from kyros_spark.evaluation.report.heat_maps import heat_maps
from kyros_spark.evaluation.report.measured import measures

PART_ORDER = ("test", "valid", "train", "all")
_THIRD, _SMALL = (3.7, 3.0), (3.1, 2.9)
_DOUBLE_LIFT = {"kind": "double_lift", "size": _THIRD}


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
            "factors": factor_blocks(evaluation, models, charts, prefix),
            "heat_maps": heat_maps(evaluation, models),
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
    for number, model in enumerate(models):
        points = [r for r in evaluation.chart("lorenz", model) if r["observed_share"] is not None]
        if points:
            x, y = [r["units_share"] for r in points], [r["observed_share"] for r in points]
            gini = ginis.get(model)
            lines.append({"name": model, "number": number, "gini": gini, "x": x, "y": y})
    if not lines:
        return ""
    charts[f"{prefix}-lorenz"] = {"kind": "lorenz", "title": "Lorenz curves", "lines": lines}
    return f"{prefix}-lorenz"


def _lift(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> str:
    lines = []
    for number, model in enumerate(models):
        points = [r for r in evaluation.chart("calibration", model) if r["lift"] is not None]
        if points:
            x, y = [r["quantile"] for r in points], [r["lift"] for r in points]
            lines.append({"name": model, "number": number, "x": x, "y": y})
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
            charts[f"{name}-lift"] = _double_lift(points, new, old, models)
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


def _double_lift(
    points: Sequence[Row], new: str, old: str, models: Sequence[str]
) -> dict[str, Any]:
    names = {"observed": "observed", new: "expected", old: "other_expected"}
    units = sum(r["units"] for r in points)
    earlier = old.partition("@")[0]  # a stated version has the colour of its model
    unlike = models.index(earlier) if earlier in models and earlier != new else len(models)
    lines = []
    for name, column in names.items():
        mean = sum(r[column] for r in points) / units
        y = [r[column] / r["units"] / mean if mean else None for r in points]
        number = models.index(name) if name in models else unlike
        x = [r["quantile"] for r in points]
        line = {"name": name, "number": number, "x": x, "y": y}
        lines.append(line | _interval(points, y) if name == "observed" else line)
    title = f"Double lift of {new} and {old}"
    return {**_DOUBLE_LIFT, "title": title, "ylabel": "mean / overall", "lines": lines}


def _interval(points: Sequence[Row], y: Sequence[float | None]) -> dict[str, Any]:
    """Return the ends of the interval of what was observed, scaled as ``y`` is.

    Nothing if a point has none, as where there are no claims.
    """
    ends: dict[str, list[float]] = {"lower": [], "upper": []}
    for row, value in zip(points, y, strict=True):
        if row["lower"] is None or value is None or not row["actual_expected"]:
            return {}
        for end, values in ends.items():
            values.append(value * row[end] / row["actual_expected"])
    return ends


def _loss_ratio(points: Sequence[Row], old: str) -> dict[str, Any]:
    x, y = [r["quantile"] for r in points], [r["other_actual_expected"] for r in points]
    lines = [{"name": "observed", "number": 0, "x": x, "y": y, **_interval(points, y)}]
    ylabel = "observed / old expected"
    return {**_DOUBLE_LIFT, "title": f"On {old}", "ylabel": ylabel, "lines": lines}


def _by_segment(moves: Iterable[Row]) -> dict[str, list[Row]]:
    segments: dict[str, list[Row]] = {}
    for row in moves:
        segments.setdefault(row["segment"], []).append(row)
    return segments
