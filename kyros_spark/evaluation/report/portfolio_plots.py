"""Draw what is seen over the batches of a portfolio.

Drawn as the other charts are, see `plots.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from kyros_spark.evaluation.report.palette import BAR, COLOURS, INK, MARKS
from kyros_spark.evaluation.report.plot_legend import legend_above

Spec = Mapping[str, Any]
_SHIFT = 0.12  # of the distance between two batches, between lines that have intervals


def by_batch(axes: Axes, spec: Spec) -> None:
    """Draw a number of each batch as a line, with an interval where it has one."""
    lines = spec["lines"]
    if spec["reference"] is not None:
        axes.axhline(spec["reference"], color=INK, linewidth=0.8)
    for number, line in enumerate(lines):
        has_ends = line.get("lower") is not None
        shift = (number - (len(lines) - 1) / 2) * _SHIFT if has_ends else 0.0
        places = [n for n, y in enumerate(line["y"]) if y is not None]
        y = [line["y"][n] for n in places]
        ends = None
        if has_ends:
            ends = [[line["y"][n] - line["lower"][n] for n in places],
                    [line["upper"][n] - line["y"][n] for n in places]]  # fmt: skip
        axes.errorbar(
            [n + shift for n in places], y, yerr=ends, fmt=MARKS[number % 6] + "-",
            color=COLOURS[number % 6], elinewidth=1, linewidth=1.2, label=line["name"],
        )  # fmt: skip
    _over_batches(axes, spec)
    if not any(line.get("lower") is not None for line in lines):
        most = max([y for line in lines for y in line["y"] if y is not None], default=0.0)
        axes.set_ylim(0, max(most, 1e-12) * 1.08)


def stacked(axes: Axes, spec: Spec) -> None:
    """Draw bars of each batch that are made of parts."""
    below = [0.0] * len(spec["batches"])
    for number, line in enumerate(spec["lines"]):
        colour = COLOURS[number] if number < len(COLOURS) else BAR
        axes.bar(range(len(below)), line["y"], bottom=below, color=colour, width=0.6,
                 label=line["name"])  # fmt: skip
        below = [before + y for before, y in zip(below, line["y"], strict=True)]
    _over_batches(axes, spec)
    axes.set_ylim(0, max([*below, 1e-12]) * 1.08)


def _over_batches(axes: Axes, spec: Spec) -> None:
    labels = spec["batches"]
    most, letters = (12, 36) if spec.get("narrow") else (24, 60)  # that have room
    step = max(1, -(-len(labels) // most))
    tilt = 60 if sum(map(len, labels[::step])) > letters else 0
    axes.set_xticks(range(0, len(labels), step), labels[::step], rotation=tilt, fontsize=8)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylabel(spec["ylabel"])
    if spec["percent"]:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    legend_above(axes)


KINDS = {"by_batch": by_batch, "stacked": stacked}
