"""Draw explanations: importance, and one price's steps.

Drawn as the other charts are, see `plots.py`. Every chart is readable in black and white: marks and
texts carry what colours do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from kyros_spark.evaluation.report.palette import FAINT, FAINT_TEXT
from kyros_spark.evaluation.report.value_axis import round_ticks

UP, DOWN, WHOLE = "#D55E00", "#0072B2", "#5f6570"
Spec = Mapping[str, Any]


def importance(axes: Axes, spec: Spec) -> None:
    """Draw the mean absolute contribution of each feature, the largest on top."""
    names, sizes = spec["features"][::-1], spec["sizes"][::-1]
    axes.barh(range(len(names)), sizes, color=DOWN, height=0.65)
    for place, size in enumerate(sizes):
        axes.annotate(
            f"{size:.3f}", (size, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    space = "\n" if spec.get("narrow") else " "
    axes.set_xlabel(f"mean absolute contribution,{space}on the link's scale")
    axes.locator_params(axis="x", nbins=4 if spec.get("narrow") else 8)
    axes.set_xlim(0, max([*sizes, 1e-12]) * 1.15)
    axes.tick_params(axis="y", length=0)


def waterfall(axes: Axes, spec: Spec) -> None:
    """Draw one price as steps from the base to the prediction, in the price's own unit."""
    steps = spec["steps"]  # each with label, start, end, note; the first and the last are whole
    thick = 0.4 if spec.get("narrow") else 0.6
    for place, step in enumerate(steps):
        row = len(steps) - 1 - place
        is_whole = step["whole"]
        width = step["end"] - step["start"]
        colour = WHOLE if is_whole else UP if width >= 0 else DOWN
        if is_whole:
            axes.plot([step["end"]], [row], "D", color=colour, markersize=6)
        else:
            axes.barh(row, width, left=step["start"], color=colour, height=thick)
        if place + 1 < len(steps):
            axes.plot([step["end"]] * 2, [row, row - 1], color=FAINT, linewidth=0.7)
        side = max(step["start"], step["end"])
        axes.annotate(
            step["note"], (side, row), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=8.5, fontweight="bold" if is_whole else "normal",
        )  # fmt: skip
    _name_steps(axes, [step["label"] for step in steps[::-1]], above=spec.get("narrow", False))
    ends = [value for step in steps for value in (step["start"], step["end"])]
    low, high = min(ends), max(ends)
    if spec["logarithmic"] and low > 0:
        axes.set_xscale("log")
        room = math.log(high / low) or 0.1
        axes.set_xlim(low * math.exp(-0.06 * room), high * math.exp(0.28 * room))
        axes.set_xticks(_ticks(low, high, 4 if spec.get("narrow") else 8))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    else:
        room = (high - low) or 0.1
        axes.set_xlim(low - 0.06 * room, high + 0.28 * room)
        axes.locator_params(axis="x", nbins=4 if spec.get("narrow") else 8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.set_xlabel(spec["xlabel"])


def _name_steps(axes: Axes, labels: Sequence[str], *, above: bool) -> None:
    """Name each row of a waterfall, at its left or, where there is no room for that, above it."""
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(labels) - (0.2 if above else 0.4))
    if not above:
        axes.set_yticks(range(len(labels)), labels)
        return
    axes.set_yticks([])
    for row, label in enumerate(labels):
        axes.annotate(
            label, (0, row + 0.36), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", fontsize=8, color=FAINT_TEXT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return some round numbers, at most so many, between the ends of a logarithmic axis."""
    if high / low < 4:  # where a logarithmic axis is nearly a linear one
        return round_ticks(low, high, most)
    steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**decade for decade in decades for step in steps]
    inside = [number for number in round_numbers if low * 0.97 <= number <= high * 1.1]
    if len(inside) < 2:
        return [float(f"{low:.3g}"), float(f"{high:.3g}")]
    return inside[:: _every(len(inside), most)]


def _every(count: int, most: int) -> int:
    return max(1, -(-count // most))


KINDS = {
    "importance": importance,
    "waterfall": waterfall,
}
