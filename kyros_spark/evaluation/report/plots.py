"""Draw one chart as SVG from a few numbers.

`python -m kyros_spark.evaluation.report.plots` draws many: JSON in, JSON out.

Figures are created without pyplot, which keeps global state. Text stays text in the SVG, so the
page's fonts apply and a chart takes only a few kilobytes. What is seen by level, which are most
charts of a report, `level_pictures` draws without matplotlib.
"""

from __future__ import annotations

import html
import io
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from kyros_spark.evaluation.report import (
    explained_plots,
    portfolio_plots,
    relativity_plots,
    segment_plots,
)
from kyros_spark.evaluation.report.compact_svg import compact_svg
from kyros_spark.evaluation.report.drawable import drawable
from kyros_spark.evaluation.report.narrow import USUAL_SIZE
from kyros_spark.evaluation.report.palette import COLOURS, FAINT, INK, MARKS
from kyros_spark.evaluation.report.plot_legend import legend_above

Spec = Mapping[str, Any]

rcParams.update(
    {
        "text.parse_math": False,  # a dollar sign in a level is a dollar sign
        "text.usetex": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "kyros",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
    }
)


def draw(spec: Spec, prefix: str = "") -> str:
    """Return a chart as an SVG element, whose ids begin with a prefix.

    A text of the specification is drawn as it is; control characters, which no picture can hold,
    become replacement characters.
    """
    spec = _with_all_names(drawable(spec))
    size = spec.get("size", USUAL_SIZE)
    figure = Figure(figsize=size, dpi=72, layout="constrained")
    _KINDS[spec["kind"]](figure.subplots(), spec)
    out = io.StringIO()
    unsaid = dict.fromkeys(("Date", "Creator", "Type", "Format"))
    FigureCanvasSVG(figure).print_svg(out, metadata=unsaid)  # savefig would lay it out twice
    label = html.escape(str(spec["title"]))
    svg = compact_svg(out.getvalue(), prefix)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _with_all_names(value: Any) -> Any:
    """Put a space before texts that begin with an underscore, which the legend would leave out."""
    if isinstance(value, Mapping):
        return {key: _with_all_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_all_names(item) for item in value]
    return f" {value}" if isinstance(value, str) and value.startswith("_") else value


def lorenz(axes: Axes, spec: Spec) -> None:
    """Draw the cumulative share of the target against that of exposure, by rising prediction."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle="--", label="no order")
    for line in spec["lines"]:
        gini = f", Gini {line['gini']:.3f}" if line["gini"] is not None else ""
        x, y, label = [0, *line["x"]], [0, *line["y"]], line["name"] + gini
        axes.plot(x, y, color=COLOURS[line["number"] % 6], label=label)
    axes.set(xlabel="share of exposure, lowest predictions first", ylabel="share of observed")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    if spec.get("narrow"):
        legend_above(axes)
    else:
        axes.legend(loc="upper left", fontsize=8)  # where no curve is


def calibration(axes: Axes, spec: Spec) -> None:
    """Draw observed against predicted mean by equal-exposure quantile, with intervals."""
    x, y = spec["expected"], spec["observed"]
    most = max([*x, *y, *(spec["upper"] or [0])]) * 1.05 or 1.0
    axes.plot([0, most], [0, most], color=FAINT, linewidth=0.9, linestyle="--")
    low = [max(0.0, v - e) for v, e in zip(y, spec["lower"], strict=True)]
    high = [max(0.0, e - v) for v, e in zip(y, spec["upper"], strict=True)]
    axes.errorbar(x, y, yerr=[low, high], fmt="o", color=COLOURS[spec["number"] % 6], elinewidth=1)
    axes.set(xlabel="mean prediction of the quantile", ylabel="mean observed")
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.locator_params(nbins=5)
    _plain(axes)


def lift(axes: Axes, spec: Spec) -> None:
    """Draw each model's observed mean by quantile of prediction, over the overall mean."""
    axes.axhline(1, color=FAINT, linewidth=0.9, linestyle="--")
    for line in spec["lines"]:
        mark, colour = MARKS[line["number"] % 6] + "-", COLOURS[line["number"] % 6]
        axes.plot(line["x"], line["y"], mark, color=colour, label=line["name"])
    axes.set(xlabel="quantile of prediction, by exposure", ylabel="observed mean / overall")
    axes.set_ylim(bottom=0)
    legend_above(axes)


def double_lift(axes: Axes, spec: Spec) -> None:
    """Draw the observed and what each of two models expects, by quantile of their ratio."""
    axes.axhline(1, color=FAINT, linewidth=0.9, linestyle="--")
    for line in spec["lines"]:
        is_observed, number = line["name"] == "observed", line["number"] % 6
        axes.plot(
            line["x"], line["y"], "o-" if is_observed else MARKS[number] + "--",
            color=INK if is_observed else COLOURS[number], label=line["name"],
        )  # fmt: skip
        if "lower" in line:
            axes.vlines(line["x"], line["lower"], line["upper"], color=INK, linewidth=0.9)
    axes.set(xlabel="quantile of new / old prediction, by exposure", ylabel=spec["ylabel"])
    legend_above(axes)


def dislocation(axes: Axes, spec: Spec) -> None:
    """Draw the share of exposure by band of price change."""
    axes.bar(range(len(spec["bands"])), spec["shares"], color=COLOURS[0], width=0.75)
    for position, share in enumerate(spec["shares"]):
        axes.annotate(f"{share:.0%}", (position, share), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(spec["bands"])), spec["bands"], rotation=35, ha="right", fontsize=8)
    axes.set_ylabel("share of exposure")
    axes.set_yticks([])  # each bar has its own label


def _plain(axes: Axes) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:,.4g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)


_KINDS: dict[str, Callable[[Axes, Spec], None]] = {
    "lorenz": lorenz,
    "calibration": calibration,
    "lift": lift,
    "double_lift": double_lift,
    "dislocation": dislocation,
    **explained_plots.KINDS,
    **segment_plots.KINDS,
    **portfolio_plots.KINDS,
    **relativity_plots.KINDS,
}


if __name__ == "__main__":
    json.dump({name: draw(spec, name) for name, spec in json.load(sys.stdin).items()}, sys.stdout)
