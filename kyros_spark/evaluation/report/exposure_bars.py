"""Draw the bars of exposure that stand behind what is seen by level."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from kyros_spark.evaluation.report.palette import BAR, FAINT


def draw_exposure(axes: Axes, shares: Sequence[float], width: float) -> None:
    """Draw each level's share of exposure in the lower third, behind the chart, on its own axis.

    width: of a bar, as a part of the distance between two levels.
    """
    bars, most = axes.twinx(), max([*shares, 1e-12])
    bars.bar(range(len(shares)), shares, color=BAR, width=width)
    bars.set_ylim(0, most * 3.2)
    bars.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bars.set_ylabel("share of exposure", color=FAINT)
    bars.set_yticks([tick for tick in bars.get_yticks() if tick <= most * 1.15])
    bars.tick_params(axis="y", colors=FAINT)
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
