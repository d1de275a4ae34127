"""Arrange the combinations of two factors' levels as tables whose cells are coloured by A/E."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.evaluation_rows import EvaluationRows, Row

# Actual over expected below and above 1, as in maps for the colour-blind; ink is legible on each.
_BELOW, _ABOVE = (0, 114, 178), (213, 94, 0)
_FULL_AT = 0.3  # a distance from 1 that has the full tint
_DEEPEST = 0.5  # share of the colour in it, the rest is white
Cells = Mapping[tuple[str, str], Row]


def heat_maps(evaluation: EvaluationRows, models: Sequence[str]) -> list[dict[str, Any]]:
    """Return a heat map per pair of factors and model; the models of a pair stand together."""
    maps: dict[tuple[str, str], dict[str, dict[tuple[str, str], Row]]] = {}
    for row in evaluation.two_way:
        if row["part"] == evaluation.part and row["model_name"] in models:
            of_pair = maps.setdefault((row["factor"], row["other_factor"]), {})
            of_pair.setdefault(row["model_name"], {})[row["level"], row["other_level"]] = row
    return [
        {
            "factor": factor,
            "other": other,
            "model": model,
            "columns": (columns := _levels(cells.values(), "other_level")),
            "rows": _rows(cells, columns, evaluation.min_exposure),
        }
        for (factor, other), by_model in maps.items()
        for model, cells in by_model.items()
    ]


def _levels(rows: Any, column: str) -> list[str]:
    places = {row[column]: row[f"{column}_order"] for row in rows}
    return sorted(places, key=lambda level: places[level])


def _rows(
    cells: Cells, columns: Sequence[str], min_exposure: float
) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (level, [_cell(cells.get((level, other)), min_exposure) for other in columns])
        for level in _levels(cells.values(), "level")
    ]


def _cell(row: Row | None, min_exposure: float) -> dict[str, Any]:
    """Return what a cell shows; of one with few units only that they are few."""
    if row is None or row["actual_expected"] is None or row["units"] < min_exposure:
        return {"row": None, "colour": "", "is_sure": False}
    lower, upper = row["lower"], row["upper"]
    is_sure = lower is not None and not lower <= 1 <= upper
    return {"row": row, "colour": _colour(row["actual_expected"]), "is_sure": is_sure}


def _colour(ratio: float) -> str:
    """Return the tint of an A/E as CSS: white at 1."""
    share = min(abs(ratio - 1) / _FULL_AT, 1.0) * _DEEPEST
    tint = [round(255 + share * (part - 255)) for part in (_ABOVE if ratio > 1 else _BELOW)]
    return f"#{tint[0]:02x}{tint[1]:02x}{tint[2]:02x}"
