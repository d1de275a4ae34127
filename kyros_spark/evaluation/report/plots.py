"""Draw one chart as SVG from a few numbers.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kyros_spark.evaluation.report.axes import FONT, Axis, numeric_axis, padded
from kyros_spark.evaluation.report.canvas import FAINT, INK, Canvas

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
BAR = "#e3e6ea"
MARKS = ("o", "s", "^", "D", "v", "P")
Spec = Mapping[str, Any]
_DASHES = "3.3 1.5"
_SIZE = (4.6, 3.3)


def draw(spec: Spec) -> str:
    """Return a chart as an SVG element."""
    return _KINDS[spec["kind"]](spec).svg(str(spec["title"]))


def lorenz(spec: Spec) -> Canvas:
    """Draw the cumulative share of the target against that of exposure, by rising prediction."""
    x, y = (
        numeric_axis(0, 1, label, most=5, text=_percent)
        for label in ("share of exposure, lowest predictions first", "share of observed")
    )
    canvas = Canvas(_size(spec), x, y, square=True)
    canvas.line((0, 1), (0, 1), FAINT, 0.9, _DASHES)
    names = [("no order", FAINT, _DASHES, "")]
    for number, line in enumerate(spec["lines"]):
        gini = f"  Gini {line['gini']:.3f}" if line["gini"] is not None else ""
        canvas.line([0, *line["x"]], [0, *line["y"]], COLOURS[number % 6])
        names.append((line["name"] + gini, COLOURS[number % 6], "", ""))
    canvas.legend(names)
    return canvas


def calibration(spec: Spec) -> Canvas:
    """Draw observed against predicted mean by equal-exposure quantile, with intervals."""
    x, y, colour = spec["expected"], spec["observed"], COLOURS[spec["number"] % 6]
    most = max([*x, *y, *(spec["upper"] or [0])]) * 1.05 or 1.0
    across, up = (
        numeric_axis(0, most, label, most=5, text=_plain)
        for label in ("mean prediction of the quantile", "mean observed")
    )
    canvas = Canvas(_size(spec), across, up, square=True)
    canvas.line((0, most), (0, most), FAINT, 0.9, _DASHES)
    canvas.intervals(x, spec["lower"], spec["upper"], colour)
    canvas.marks(x, y, "o", colour)
    return canvas


def lift(spec: Spec) -> Canvas:
    """Draw each model's observed mean by quantile of prediction, over the overall mean."""
    most = max([1.0, *(y for line in spec["lines"] for y in line["y"] if y is not None)])
    x = _quantile_axis(spec, "quantile of prediction, by exposure")
    canvas = Canvas(_size(spec), x, numeric_axis(0, most * 1.05, "observed mean / overall", 11))
    canvas.level(1, FAINT, 0.9, _DASHES)
    names = []
    for number, line in enumerate(spec["lines"]):
        colour, shape = COLOURS[number % 6], MARKS[number % 6]
        canvas.line(line["x"], line["y"], colour)
        canvas.marks(line["x"], line["y"], shape, colour)
        names.append((line["name"], colour, "", shape))
    canvas.legend(names)
    return canvas


def factor(spec: Spec) -> Canvas:
    """Draw actual over expected by level with intervals, above bars of exposure."""
    labels, shares = spec["levels"], spec["shares"]
    tilt = 60 if sum(map(len, labels)) > 70 else 0
    x = Axis(
        -0.6, len(labels) - 0.4, tuple(enumerate(labels)), "", 8 if len(labels) < 30 else 6.5, tilt
    )
    bars = numeric_axis(0, max(shares) * 3.2, "share of exposure", most=12, text=_percent)
    shown = tuple((tick, text) for tick, text in bars.ticks if tick <= max(shares) * 1.15)
    bars = Axis(bars.low, bars.high, shown, bars.label)
    canvas = Canvas(
        _size(spec), x, numeric_axis(*_limits(spec), "actual / expected", 6), right=bars
    )
    canvas.bars(shares, 0.8, BAR, bars, [""] * len(shares))
    canvas.level(1, INK, 0.8)
    names = []
    for number, line in enumerate(spec["lines"]):
        shift = (number - (len(spec["lines"]) - 1) / 2) * 0.22
        colour, shape = COLOURS[number % 6], MARKS[number % 6]
        filled = [n for n in range(len(labels)) if line["y"][n] is not None]
        places, (y, low, high) = (
            [n + shift for n in filled],
            ([line[end][n] for n in filled] for end in ("y", "lower", "upper")),
        )
        canvas.intervals(places, low, high, colour)
        canvas.marks(places, y, shape, colour)
        names.append((line["name"], colour, "none", shape))
    canvas.legend(names, columns=len(names))
    return canvas


def double_lift(spec: Spec) -> Canvas:
    """Draw the observed and what each of two models expects, by quantile of their ratio."""
    values = [y for line in spec["lines"] for y in line["y"] if y is not None]
    x = _quantile_axis(spec, "quantile of new / old prediction, by exposure")
    canvas = Canvas(_size(spec), x, numeric_axis(*padded([1.0, *values]), spec["ylabel"], 8))
    canvas.level(1, FAINT, 0.9, _DASHES)
    names = []
    for number, line in enumerate(spec["lines"]):
        is_observed = line["name"] == "observed"
        colour, shape = INK if is_observed else COLOURS[number % 6], MARKS[number % 6]
        dashes = "" if is_observed else "5 2"
        canvas.line(line["x"], line["y"], colour, 1.6, dashes)
        canvas.marks(line["x"], line["y"], shape, colour)
        names.append((line["name"], colour, dashes, shape))
    canvas.legend(names, avoid=True)
    return canvas


def dislocation(spec: Spec) -> Canvas:
    """Draw the share of exposure by band of price change; each bar has its own label."""
    shares, bands = spec["shares"], spec["bands"]
    x = Axis(-0.7, len(bands) - 0.3, tuple(enumerate(bands)), "", FONT - 1, 35)
    y = Axis(0, (max(shares) or 1.0) * 1.1, (), "share of exposure")
    canvas = Canvas(_size(spec), x, y)
    canvas.bars(shares, 0.75, COLOURS[0], y, [f"{share:.0%}" for share in shares])
    return canvas


def _size(spec: Spec) -> tuple[float, float]:
    width, height = spec.get("size", _SIZE)
    return width, height


def _quantile_axis(spec: Spec, label: str) -> Axis:
    low, high = padded([x for line in spec["lines"] for x in line["x"]])
    return numeric_axis(low, high, label, most=6, text=lambda number: f"{number:g}")


def _limits(spec: Spec) -> tuple[float, float]:
    """Return the limits of the A/E axis: large levels must fit, with room below for the bars."""
    least, most = 0.8, 1.2
    for line in spec["lines"]:
        for n, share in enumerate(spec["shares"]):
            if share >= 0.01 and line["y"][n] is not None:
                least, most = min(least, line["lower"][n]), max(most, line["upper"][n])
    least, most = max(0.0, least), min(most, 3.0)
    return least - 0.35 * (most - least), most + 0.12 * (most - least)


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"


def _plain(value: float) -> str:
    return f"{value:,.4g}"


_KINDS: dict[str, Callable[[Spec], Canvas]] = {
    "lorenz": lorenz,
    "calibration": calibration,
    "lift": lift,
    "factor": factor,
    "double_lift": double_lift,
    "dislocation": dislocation,
}
