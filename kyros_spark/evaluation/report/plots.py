"""Draw one chart as SVG from a few numbers.

`python -m kyros_spark.evaluation.report.plots` draws many: JSON in, JSON out.

Figures are created without pyplot, which keeps global state. Text stays text in the SVG, so the
page's fonts apply and a chart takes only a few kilobytes. The colours are those of Okabe and Ito,
which colour-blind readers can tell apart.
"""

from __future__ import annotations

import html
import io
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import category

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from kyros_spark.evaluation.report import explained_plots

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, FAINT, BAR = "#1b1b1b", "#8a8a8a", "#e3e6ea"
MARKS = ("o", "s", "^", "D", "v", "P")
UNDRAWABLE = ("Cc", "Cs")  # control characters and surrogates
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


def draw(spec: Spec) -> str:
    """Return a chart as an SVG element.

    A text of the specification is drawn as it is; control characters, which no picture can hold,
    become replacement characters.
    """
    spec = _drawable(spec)
    figure = Figure(figsize=spec.get("size", (4.6, 3.3)), layout="constrained")
    _KINDS[spec["kind"]](figure.subplots(), spec)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    text = out.getvalue()
    label = html.escape(str(spec["title"]))
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _drawable(value: Any) -> Any:
    """Return a specification whose texts can be drawn.

    The legend leaves out labels that begin with an underscore, so a space goes before it.
    """
    if isinstance(value, Mapping):
        return {key: _drawable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(item) for item in value]
    if not isinstance(value, str):
        return value
    text = "".join("\N{REPLACEMENT CHARACTER}" if category(c) in UNDRAWABLE else c for c in value)
    return f" {text}" if text.startswith("_") else text


def lorenz(axes: Axes, spec: Spec) -> None:
    """Draw the cumulative share of the target against that of exposure, by rising prediction."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle="--", label="no order")
    for number, line in enumerate(spec["lines"]):
        gini = f"  Gini {line['gini']:.3f}" if line["gini"] is not None else ""
        x, y, label = [0, *line["x"]], [0, *line["y"]], line["name"] + gini
        axes.plot(x, y, color=COLOURS[number % 6], label=label)
    axes.set(xlabel="share of exposure, lowest predictions first", ylabel="share of observed")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", fontsize=8)


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
    for number, line in enumerate(spec["lines"]):
        colour = COLOURS[number % 6]
        axes.plot(line["x"], line["y"], MARKS[number % 6] + "-", color=colour, label=line["name"])
    axes.set(xlabel="quantile of prediction, by exposure", ylabel="observed mean / overall")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize=8)


def factor(axes: Axes, spec: Spec) -> None:
    """Draw actual over expected by level with intervals, above bars of exposure."""
    labels = spec["levels"]
    positions = range(len(labels))
    bars = axes.twinx()
    bars.bar(positions, spec["shares"], color=BAR, width=0.8)
    bars.set_ylim(0, max(spec["shares"]) * 3.2)
    bars.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bars.set_ylabel("share of exposure", color=FAINT)
    bars.set_yticks([t for t in bars.get_yticks() if t <= max(spec["shares"]) * 1.15])
    bars.tick_params(axis="y", colors=FAINT)
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.axhline(1, color=INK, linewidth=0.8)
    count = len(spec["lines"])
    for number, line in enumerate(spec["lines"]):
        shift = (number - (count - 1) / 2) * 0.22
        filled = [n for n in positions if line["y"][n] is not None]
        y = [line["y"][n] for n in filled]
        low = [max(0.0, line["y"][n] - line["lower"][n]) for n in filled]
        high = [max(0.0, line["upper"][n] - line["y"][n]) for n in filled]
        axes.errorbar(
            [n + shift for n in filled], y, yerr=[low, high], fmt=MARKS[number % 6],
            color=COLOURS[number % 6], elinewidth=1, label=line["name"],
        )  # fmt: skip
    axes.set_ylabel("actual / expected")
    axes.set_ylim(*_limits(spec))
    tilt = 60 if sum(map(len, labels)) > 70 else 0
    axes.set_xticks(list(positions), labels, rotation=tilt, fontsize=8 if len(labels) < 30 else 6.5)
    axes.legend(loc="upper left", fontsize=8, ncols=count)


def double_lift(axes: Axes, spec: Spec) -> None:
    """Draw the observed and what each of two models expects, by quantile of their ratio."""
    axes.axhline(1, color=FAINT, linewidth=0.9, linestyle="--")
    for number, line in enumerate(spec["lines"]):
        is_observed = line["name"] == "observed"
        axes.plot(
            line["x"], line["y"], MARKS[number % 6] + ("-" if is_observed else "--"),
            color=INK if is_observed else COLOURS[number % 6], label=line["name"],
        )  # fmt: skip
    axes.set(xlabel="quantile of new / old prediction, by exposure", ylabel=spec["ylabel"])
    axes.legend(loc="best", fontsize=8)


def dislocation(axes: Axes, spec: Spec) -> None:
    """Draw the share of exposure by band of price change."""
    axes.bar(range(len(spec["bands"])), spec["shares"], color=COLOURS[0], width=0.75)
    for position, share in enumerate(spec["shares"]):
        axes.annotate(f"{share:.0%}", (position, share), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(spec["bands"])), spec["bands"], rotation=35, ha="right", fontsize=8)
    axes.set_ylabel("share of exposure")
    axes.set_yticks([])  # each bar has its own label


def _limits(spec: Spec) -> tuple[float, float]:
    """Return the limits of the A/E axis: large levels must fit, with room below for the bars."""
    least, most = 0.8, 1.2
    for line in spec["lines"]:
        for n, share in enumerate(spec["shares"]):
            if share >= 0.01 and line["y"][n] is not None:
                least, most = min(least, line["lower"][n]), max(most, line["upper"][n])
    least, most = max(0.0, least), min(most, 3.0)
    return least - 0.35 * (most - least), most + 0.12 * (most - least)


def _plain(axes: Axes) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:,.4g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)


_KINDS: dict[str, Callable[[Axes, Spec], None]] = {
    "lorenz": lorenz,
    "calibration": calibration,
    "lift": lift,
    "factor": factor,
    "double_lift": double_lift,
    "dislocation": dislocation,
    **explained_plots.KINDS,
}


if __name__ == "__main__":
    json.dump({name: draw(spec) for name, spec in json.load(sys.stdin).items()}, sys.stdout)
