"""Set the legend of a plot above it, where it hides no data."""

from __future__ import annotations

from matplotlib.axes import Axes

from kyros_spark.evaluation.report.text_width import text_width

_SIZE = 8
_MARK, _AXIS = 34.0, 46.0  # points: beside each name, and left of the axes


def legend_above(axes: Axes) -> None:
    """Add the legend above the axes, in as many columns as the figure has room for."""
    names = axes.get_legend_handles_labels()[1]
    if not names:
        return
    figure = axes.get_figure(root=True)
    room = (72 * figure.get_size_inches()[0] if figure else 0) - _AXIS
    column = max(text_width(name, _SIZE) for name in names) + _MARK
    columns = max(1, min(len(names), int(room / column)))
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), fontsize=_SIZE, ncols=columns, borderaxespad=0.2
    )
