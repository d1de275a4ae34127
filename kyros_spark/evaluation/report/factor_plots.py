"""Draw what is seen by one factor: means as one-way tables have them, and actual over expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes

from kyros_spark.evaluation.report.exposure_bars import draw_exposure
from kyros_spark.evaluation.report.palette import COLOURS, INK, MARKS

Spec = Mapping[str, Any]
_SHIFT = 0.22  # of a level's width, between models at one level
_LEAST_SHARE = 0.01  # of exposure: smaller levels do not stretch the axis


def factor(axes: Axes, spec: Spec) -> None:
    """Draw actual over expected by level with intervals, above bars of exposure."""
    draw_exposure(axes, spec["shares"], width=0.8)
    axes.axhline(1, color=INK, linewidth=0.8)
    for place, line in enumerate(spec["lines"]):
        shift = (place - (len(spec["lines"]) - 1) / 2) * _SHIFT
        _with_intervals(axes, line, shift, line["number"], COLOURS[line["number"] % 6])
    least, most = _ends(spec["lines"], spec["shares"], 0.8, 1.2)
    _fit(axes, least, min(most, 3.0))
    axes.set_ylabel("actual / expected")
    _label_levels(axes, spec)


def one_way(axes: Axes, spec: Spec) -> None:
    """Draw the observed mean by level with intervals, each model's mean, and bars of exposure."""
    draw_exposure(axes, spec["shares"], width=0.8)
    observed, models = spec["observed"], spec["lines"]
    for line in models:
        points = [n for n, y in enumerate(line["y"]) if y is not None]
        axes.plot(
            points, [line["y"][n] for n in points], MARKS[line["number"] % 6] + "-",
            color=COLOURS[line["number"] % 6], label=line["name"], linewidth=1.1,
        )  # fmt: skip
    _with_intervals(axes, {**observed, "name": "observed"}, 0.0, 0, INK)
    means = [y for line in models for y in line["y"] if y is not None]
    least, most = _ends([observed], spec["shares"], min(means), max(means))
    _fit(axes, least, most)
    axes.set_ylabel(spec["ylabel"])
    _label_levels(axes, spec)


def _with_intervals(
    axes: Axes, line: Mapping[str, Any], shift: float, number: int, colour: str
) -> None:
    points = [n for n, y in enumerate(line["y"]) if y is not None]
    y = [line["y"][n] for n in points]
    low = [_length(line["y"][n], line["lower"][n]) for n in points]
    high = [_length(line["upper"][n], line["y"][n]) for n in points]
    axes.errorbar(
        [n + shift for n in points], y, yerr=[low, high], fmt=MARKS[number % 6], color=colour,
        elinewidth=1, label=line["name"],
    )  # fmt: skip


def _length(upper: float | None, lower: float | None) -> float:
    return 0.0 if upper is None or lower is None else max(0.0, upper - lower)


def _ends(
    lines: list[Mapping[str, Any]], shares: list[float], least: float, most: float
) -> tuple[float, float]:
    """Return the ends of the axis that shows all intervals of large levels."""
    for line in lines:
        for n, share in enumerate(shares):
            if share >= _LEAST_SHARE and line["y"][n] is not None:
                ends = [end for key in ("y", "lower", "upper") if (end := line[key][n]) is not None]
                least, most = min(least, *ends), max(most, *ends)
    return max(0.0, least), most


def _fit(axes: Axes, least: float, most: float) -> None:
    """Leave room for the bars below; none of it is below zero, so it has no ticks there."""
    height = most - least or abs(most) or 1.0
    axes.set_ylim(least - 0.4 * height, most + 0.06 * height)
    axes.set_yticks([tick for tick in axes.get_yticks() if least - 0.2 * height <= tick <= most
                     and tick >= 0])  # fmt: skip


def _label_levels(axes: Axes, spec: Spec) -> None:
    labels = spec["levels"]
    tilt = 60 if sum(map(len, labels)) > 70 else 0
    size = 8 if len(labels) < 30 else 6.5
    axes.set_xticks(range(len(labels)), labels, rotation=tilt, fontsize=size)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, ncols=len(spec["lines"]) + 1)


KINDS: dict[str, Callable[[Axes, Spec], None]] = {"factor": factor, "one_way": one_way}
