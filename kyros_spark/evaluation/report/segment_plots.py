"""Draw a coefficient over segments, the smallest at the bottom: a caterpillar plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from kyros_spark.evaluation.report.palette import COLOURS, FAINT, INK

WIDE = 20  # times: relativities further apart than this have no room on a linear axis


def caterpillar(axes: Axes, spec: Mapping[str, Any]) -> None:
    """Draw each segment's value in its interval; a dot is full if that leaves out the whole's."""
    places = range(len(spec["values"]))
    axes.hlines(places, spec["lower"], spec["upper"], color=FAINT, linewidth=0.9)
    for is_apart in (False, True):
        chosen = [n for n in places if spec["apart"][n] is is_apart]
        axes.plot(
            [spec["values"][n] for n in chosen], chosen, "o", markersize=3.2,
            color=COLOURS[0], markerfacecolor=COLOURS[0] if is_apart else "white",
        )  # fmt: skip
    axes.axvline(spec["whole"], color=INK, linewidth=0.9)
    axes.set_ylim(-0.8, len(places) - 0.2)
    axes.set_yticks(range(len(spec["names"])), spec["names"], fontsize=7)
    axes.tick_params(axis="y", length=0)
    if spec["logarithmic"] and max(spec["upper"]) > WIDE * min(spec["lower"]):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(spec["xlabel"])


KINDS = {"caterpillar": caterpillar}
