"""Arrange numbers of batches into charts of a portfolio: specifications for `report.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.palette import COLOURS

Series = Mapping[str, Mapping[str, Any]]  # name -> batch -> value
_SIZE, _WIDE = (6.1, 3.1), (10.4, 4.6)
_REST = "others"


def lines(
    title: str, ylabel: str, batches: Sequence[str], series: Series, *, percent: bool = False
) -> dict[str, Any]:
    """Return a line per name, the six with the largest values; gaps where a batch has none."""
    chosen = sorted(series, key=lambda name: -max(series[name].values(), default=0.0))
    drawn = [
        {"name": name, "y": [series[name].get(batch) for batch in batches]}
        for name in chosen[: len(COLOURS)]
    ]
    if len(chosen) > len(drawn):
        title += f", the largest {len(drawn)} of {len(chosen)}"
    return {
        **_base("by_batch", title),
        "ylabel": ylabel, "batches": batches, "lines": drawn, "percent": percent, "reference": None,
    }  # fmt: skip


def intervals(
    title: str, ylabel: str, batches: Sequence[str], series: Series, reference: float
) -> dict[str, Any]:
    """Return a line per name whose values are (value, lower, upper), about a reference."""
    drawn = []
    for name, of_batch in list(series.items())[: len(COLOURS)]:
        ends = [of_batch.get(batch) or (None, None, None) for batch in batches]
        y, lower, upper = (list(column) for column in zip(*ends, strict=True))
        drawn.append({"name": name, "y": y, "lower": lower, "upper": upper})
    return {
        **_base("by_batch", title),
        "ylabel": ylabel, "batches": batches, "lines": drawn, "percent": False,
        "reference": reference,
    }  # fmt: skip


def bars(title: str, ylabel: str, batches: Sequence[str], series: Series) -> dict[str, Any]:
    """Return bars stacked of the names, the largest apart and the others, if several, together."""
    order = sorted(series, key=lambda name: -sum(series[name].values()))
    most = len(COLOURS) if len(order) == len(COLOURS) else len(COLOURS) - 1
    apart, rest = order[:most], order[most:]
    drawn = [
        {"name": name, "y": [float(series[name].get(batch, 0)) for batch in batches]}
        for name in apart
    ]
    if rest:
        sums = [float(sum(series[name].get(batch, 0) for name in rest)) for batch in batches]
        drawn.append({"name": f"{len(rest)} {_REST}", "y": sums})
    return {
        **_base("stacked", title),
        "ylabel": ylabel, "batches": batches, "lines": drawn, "percent": False,
    }  # fmt: skip


def lineage(
    title: str, columns: Sequence[tuple[str, Mapping[str, str]]], arrows: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return a picture of tables, a column per stage.

    columns: the stage, and its tables with a note each. arrows: from one table to another; those
    from or to a table that is not there are left out.
    """
    boxes = [
        {"name": name, "note": note, "stage": number}
        for number, (_, tables) in enumerate(columns)
        for name, note in tables.items()
    ]
    there = {box["name"] for box in boxes}
    drawn = [{"from": a, "to": b} for a, b in arrows if {a, b} <= there]
    stages = [{"name": stage} for stage, _ in columns]
    return {
        "kind": "lineage", "title": title, "size": _WIDE, "boxes": boxes, "arrows": drawn,
        "stages": stages,
    }  # fmt: skip


def _base(kind: str, title: str) -> dict[str, Any]:
    return {"kind": kind, "title": title, "size": _SIZE}
