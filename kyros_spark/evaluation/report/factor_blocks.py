"""Arrange the evaluation's rows by factor: a table of levels, and the charts above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.evaluation_rows import EvaluationRows, Row

_WIDE = (9.2, 3.1)
ByLevel = Mapping[str, Mapping[str, Row]]  # the rows of a factor, by level and model


def factor_blocks(
    evaluation: EvaluationRows, models: Sequence[str], charts: dict[str, Any], prefix: str
) -> list[dict[str, Any]]:
    """Return a block per factor, those that a model uses first.

    Charts are added to ``charts``, under names that begin with ``prefix``.
    """
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
            "charts": [],
        }
        numbers = {model: n for n, model in enumerate(models) if model in last_rows}
        if any(r["lower"] is not None for by_model in shown.values() for r in by_model.values()):
            drawn = {"one-way": _one_way(factor, shown, numbers), "factor": _actual_expected(
                factor, shown, numbers)}  # fmt: skip
            for kind, chart in drawn.items():
                charts[f"{prefix}-{kind}-{factor}"] = chart
                block["charts"].append((f"{prefix}-{kind}-{factor}", chart["title"]))
        content.append(block)
    return sorted(content, key=lambda block: (not block["users"], block["name"]))


def _one_way(factor: str, levels: ByLevel, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return the chart of means. The interval of the observed mean is that of actual over expected
    times the mean expected, which is the same for every model."""
    observed: dict[str, list[float | None]] = {"y": [], "lower": [], "upper": []}
    for by_model in levels.values():
        row = next((r for r in by_model.values() if r["lower"] is not None), None)
        any_row = next(iter(by_model.values()))
        observed["y"].append(any_row["observed_mean"])
        for end in ("lower", "upper"):
            value = None if row is None or row[end] is None else row[end] * row["expected_mean"]
            observed[end].append(value)
    return {
        **_base("one_way", f"Observed and expected mean by {factor}", levels),
        "ylabel": "mean per unit",
        "observed": observed,
        "lines": [
            {"name": model, "number": number, "y": _values(levels, model, "expected_mean")}
            for model, number in numbers.items()
        ],
    }


def _actual_expected(factor: str, levels: ByLevel, numbers: Mapping[str, int]) -> dict[str, Any]:
    lines = [
        {
            "name": model,
            "number": number,
            "y": _values(levels, model, "actual_expected"),
            "lower": _values(levels, model, "lower"),
            "upper": _values(levels, model, "upper"),
        }
        for model, number in numbers.items()
    ]
    return {**_base("factor", f"Actual over expected by {factor}", levels), "lines": lines}


def _base(kind: str, title: str, levels: ByLevel) -> dict[str, Any]:
    shares = [next(iter(by_model.values()))["units_share"] for by_model in levels.values()]
    return {"kind": kind, "title": title, "size": _WIDE, "levels": list(levels), "shares": shares}


def _values(levels: ByLevel, model: str, column: str) -> list[float | None]:
    rows = [by_model.get(model) for by_model in levels.values()]
    return [None if row is None else row[column] for row in rows]
