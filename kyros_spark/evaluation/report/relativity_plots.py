"""Draw a factor's relativities as a tariff is read: a line per level, a point in its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kyros_spark.evaluation.report.palette import BAR, COLOURS, FAINT_TEXT, INK

_LEAST_SHARE = 0.01  # of exposure: smaller levels do not stretch the axis
_LEAST_SPREAD = math.log(1.2)
_FARTHEST = 1e100  # a relativity; twice its logarithm is still that of a double
_RIGHT = 1.15  # widths of the axes: where the shares of exposure end
_CLOSE, _MOST_TICKS = 3.0, 6  # ends nearer than three times have ticks at equal distances
Spec = Mapping[str, Any]


def relativities(axes: Axes, spec: Spec) -> None:
    """Draw each level's value in its interval, from the top, beside bars of exposure.

    A base level is an open diamond, and a value beyond the axis a triangle at its end.
    """
    rows = range(len(spec["levels"]))
    values = [_scaled(value, spec) for value in spec["values"]]
    intervals = _intervals(spec)
    low, high = _ends(values, intervals, spec)
    _bars(axes, spec["shares"])
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, (lower, upper) in intervals.items():
        axes.plot([lower, upper], [row, row], "|-", color=COLOURS[0], linewidth=1.1)
    for row, value in enumerate(values):
        place = min(max(value, low), high)
        mark = "<" if value < low else ">" if value > high else "D" if spec["is_base"][row] else "o"
        face = "white" if mark == "D" else COLOURS[0]
        axes.plot(place, row, mark, color=COLOURS[0], markerfacecolor=face, markersize=4.5)
    room = 0.04 * (high - low)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first level is on top
    axes.set_yticks(rows, spec["levels"], fontsize=8)
    axes.tick_params(axis="y", length=0)
    ticks = round_numbers(math.exp(low), math.exp(high)) if spec["logarithmic"] else None
    if ticks is not None:
        axes.set_xticks([math.log(tick) for tick in ticks], [f"{tick:,.4g}" for tick in ticks])
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(spec["xlabel"])


def round_numbers(low: float, high: float) -> list[float]:
    """Return a few round numbers between the ends of a logarithmic axis."""
    if high / low < _CLOSE:
        numbers = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(number) for number in numbers if low <= number <= high]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        inside = [step * 10.0**decade for decade in decades for step in steps]
        inside = [number for number in inside if low <= number <= high]
        if len(inside) <= _MOST_TICKS:
            return inside
    return inside[:: -(-len(inside) // _MOST_TICKS)]


def _scaled(value: float, spec: Spec) -> float:
    """Return where a value stands on the axis, whose 0 is the neutral value."""
    if not spec["logarithmic"]:
        return value
    return math.log(min(max(value, 1 / _FARTHEST), _FARTHEST))


def _intervals(spec: Spec) -> dict[int, tuple[float, float]]:
    """Return the ends of the intervals on the axis, by row; not each level has one."""
    ends = enumerate(zip(spec["lower"], spec["upper"], strict=True))
    return {
        row: (_scaled(lower, spec), _scaled(upper, spec))
        for row, (lower, upper) in ends
        if lower is not None and upper is not None
    }


def _ends(
    values: Sequence[float], intervals: Mapping[int, tuple[float, float]], spec: Spec
) -> tuple[float, float]:
    """Return the ends of an axis that shows all large levels; none of their intervals fills it."""
    large = [
        row
        for row, share in enumerate(spec["shares"])
        if share is None or share >= _LEAST_SHARE or spec["is_base"][row]
    ]
    points = [0.0, *(values[row] for row in large)]
    least, most = min(points), max(points)
    spread = max(most - least, _LEAST_SPREAD if spec["logarithmic"] else 1e-9)
    ends = [end for row in large if row in intervals for end in intervals[row]]
    low, high = min([least, *ends]), max([most, *ends])
    low, high = max(low, least - spread), min(high, most + spread)
    missing = max(0.0, spread - (high - low)) / 2
    return low - missing, high + missing


def _bars(axes: Axes, shares: Sequence[float | None]) -> None:
    """Draw each level's share of exposure behind the points, and write it at the right."""
    of_rows = {row: share for row, share in enumerate(shares) if share is not None}
    if not of_rows:
        return
    bars = axes.twiny()
    bars.barh(list(of_rows), list(of_rows.values()), color=BAR, height=0.8)
    bars.set_xlim(0, max([*of_rows.values(), 1e-12]) * 2.2)
    bars.set_xticks([])
    bars.spines["top"].set_visible(False)
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    at_right: dict[str, Any] = {"fontsize": 7.5, "color": FAINT_TEXT, "ha": "right"}
    place = ("axes fraction", "data")
    for row, share in of_rows.items():
        text = f"{share:.0%}" if share >= _LEAST_SHARE else f"{share:.1%}"
        axes.annotate(text, (_RIGHT, row), xycoords=place, va="center", **at_right)
    axes.annotate("exposure", (_RIGHT, -0.65), xycoords=place, va="bottom", **at_right)


KINDS = {"relativities": relativities}
