"""Draw explanations: importance, a sample's contributions, a feature's effect, one price's steps.

Drawn as the other charts are, see `plots.py`. Every chart is readable in black and white: marks and
texts carry what colours do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from kyros_spark.evaluation.report.exposure_bars import draw_exposure
from kyros_spark.evaluation.report.palette import BAR, FAINT, INK

UP, DOWN, WHOLE = "#D55E00", "#0072B2", "#5f6570"
_LANES = 9  # of dots that would lie on each other, on either side of a feature's line
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
    axes.set_xlabel("mean absolute contribution, on the link's scale")
    axes.set_xlim(0, max([*sizes, 1e-12]) * 1.15)
    axes.tick_params(axis="y", length=0)


def beeswarm(axes: Axes, spec: Spec) -> None:
    """Draw a sample's contributions, a dot per policy; dark dots have large values."""
    names = spec["features"][::-1]
    low = min((min(lane["x"]) for lane in spec["lanes"]), default=0.0)
    high = max((max(lane["x"]) for lane in spec["lanes"]), default=1.0)
    for place, lane in enumerate(spec["lanes"][::-1]):
        y = [place + shift for shift in _spread(lane["x"], (high - low) or 1.0)]
        axes.scatter(
            lane["x"], y, s=7, c=lane["shade"], cmap="viridis_r", vmin=0, vmax=1,
            linewidths=0.25, edgecolors="white",
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(spec["xlabel"])
    axes.grid(axis="y", color=BAR, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.annotate(
        "light: small value or level, dark: large", (1, 1.01), xycoords="axes fraction",
        ha="right", fontsize=7.5, color=FAINT,
    )  # fmt: skip


def dependence(axes: Axes, spec: Spec) -> None:
    """Draw a feature's mean effect by level, above bars of exposure."""
    labels, y = spec["levels"], spec["effects"]
    places = range(len(labels))
    draw_exposure(axes, spec["shares"], width=0.85)
    axes.axhline(spec["neutral"], color=INK, linewidth=0.8)
    axes.plot(places, y, "o", color=UP, markersize=4)
    axes.plot(range(spec["joined"]), y[: spec["joined"]], color=UP)
    least, top = min([*y, spec["neutral"]]), max([*y, spec["neutral"]])
    room = (top - least) or 0.1
    axes.set_ylim(least - 0.5 * room, top + 0.12 * room)
    axes.set_ylabel(spec["ylabel"])
    shown = _every(len(labels), 24)
    tilt = 60 if sum(map(len, labels[::shown])) > 60 else 0
    size = 8 if len(labels) < 16 else 6.5
    axes.set_xticks(list(places)[::shown], labels[::shown], rotation=tilt, fontsize=size)


def waterfall(axes: Axes, spec: Spec) -> None:
    """Draw one price as steps from the base to the prediction, in the price's own unit."""
    steps = spec["steps"]  # each with label, start, end, note; the first and the last are whole
    for place, step in enumerate(steps):
        row = len(steps) - 1 - place
        is_whole = step["whole"]
        width = step["end"] - step["start"]
        colour = WHOLE if is_whole else UP if width >= 0 else DOWN
        if is_whole:
            axes.plot([step["end"]], [row], "D", color=colour, markersize=6)
        else:
            axes.barh(row, width, left=step["start"], color=colour, height=0.6)
        if place + 1 < len(steps):
            axes.plot([step["end"]] * 2, [row, row - 1], color=FAINT, linewidth=0.7)
        side = max(step["start"], step["end"])
        axes.annotate(
            step["note"], (side, row), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=8.5, fontweight="bold" if is_whole else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(steps)), [step["label"] for step in steps[::-1]])
    axes.tick_params(axis="y", length=0)
    ends = [value for step in steps for value in (step["start"], step["end"])]
    low, high = min(ends), max(ends)
    if spec["logarithmic"] and low > 0:
        axes.set_xscale("log")
        room = math.log(high / low) or 0.1
        axes.set_xlim(low * math.exp(-0.06 * room), high * math.exp(0.28 * room))
        axes.set_xticks(_ticks(low, high))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    else:
        room = (high - low) or 0.1
        axes.set_xlim(low - 0.06 * room, high + 0.28 * room)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.set_xlabel(spec["xlabel"])


def _spread(x: Sequence[float], width: float) -> list[float]:
    """Return how far each dot is moved off its line, so that dots of one place stay apart."""
    counts: dict[int, int] = {}
    shifts = []
    for value in x:
        cell = round(value / width * 110)
        number = counts.get(cell, 0)
        counts[cell] = number + 1
        lane = (number + 1) // 2 * (1 if number % 2 else -1)
        shifts.append(max(-_LANES, min(_LANES, lane)) * 0.42 / _LANES)
    return shifts


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers between the ends of a logarithmic axis."""
    steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**decade for decade in decades for step in steps]
    inside = [number for number in round_numbers if low * 0.97 <= number <= high * 1.1]
    if len(inside) < 2:
        return [float(f"{low:.3g}"), float(f"{high:.3g}")]
    return inside[:: _every(len(inside), 8)]


def _every(count: int, most: int) -> int:
    return max(1, -(-count // most))


KINDS = {
    "importance": importance,
    "beeswarm": beeswarm,
    "dependence": dependence,
    "waterfall": waterfall,
}
