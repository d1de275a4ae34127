"""Draw what is seen by level, in a width for screens and paper and in one for telephones.

On a wide picture levels go from left to right, above bars of exposure. On a narrow one they go
down, so that each has its name in full and as many as there are have room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.drawable import drawable
from kyros_spark.evaluation.report.legend_rows import legend_rows
from kyros_spark.evaluation.report.level_series import LevelChart, LevelSeries, level_chart
from kyros_spark.evaluation.report.narrow import NARROW_WIDTH
from kyros_spark.evaluation.report.palette import BAR, FAINT, FAINT_TEXT, INK
from kyros_spark.evaluation.report.svg_picture import Point, SvgPicture
from kyros_spark.evaluation.report.text_width import shortened, text_width
from kyros_spark.evaluation.report.value_axis import round_ticks, tick_labels

Spec = Mapping[str, Any]
Place = Callable[[float, float], Point]  # of a level's number and a value

_SIZE = 8.5  # of texts along the axes
_PLOT_HEIGHT = 150.0  # of a wide picture, whatever its levels' names need below
_LONGEST, _LONGEST_NARROW = 110.0, 92.0  # of a level's name, in points
_BARS = 1 / 3.2  # of the height of a wide picture, for the largest level's exposure
_SHARE = 42.0  # of the width of a narrow picture, for the same
_TILT = 60.0  # degrees


def wide_picture(spec: Spec, width: float) -> str:
    """Return a chart with its levels from left to right, as an SVG element."""
    spec = drawable(spec)
    chart, levels = level_chart(spec), spec["levels"]
    height = chart.most - chart.least or abs(chart.most) or 1.0
    low, high = chart.least - 0.42 * height, chart.most + 0.06 * height
    ticks = [t for t in round_ticks(chart.least - 0.15 * height, chart.most, 5)
             if t >= 0 or chart.least < 0]  # fmt: skip
    texts = tick_labels(ticks)
    left = 24 + max(text_width(text, _SIZE) for text in texts)
    right = width - 52

    picture = SvgPicture()
    top = (legend_rows(picture, chart.series, left, right - left) if chart.has_legend else 6.0) + 2
    bottom = top + _PLOT_HEIGHT
    step = (right - left) / len(levels)

    def place(level: float, value: float) -> Point:
        return left + (level + 0.5) * step, bottom - (value - low) / (high - low) * _PLOT_HEIGHT

    bars_top = low + _BARS * (high - low)
    beside = right + _upright_bars(picture, spec["shares"], place, low, bars_top, right)
    for tick, text in zip(ticks, texts, strict=True):
        y = place(0, tick)[1]
        picture.lines([((left - 3.5, y), (left, y))], INK)
        picture.text(text, (left - 6, y + 3), _SIZE, anchor="end")
    middle = (top + bottom) / 2
    picture.text(chart.what, (11, middle), _SIZE, anchor="middle", turn=-90)
    name = "share of exposure"
    picture.text(name, (beside + 12, middle), _SIZE, anchor="middle", turn=-90, colour=FAINT_TEXT)
    _series(picture, chart, place, (low, high), len(levels))
    frame = [((left, top), (left, bottom)), ((left, bottom), (right, bottom))]
    picture.lines([*frame, ((right, top), (right, bottom))], FAINT)
    below = _names_below(picture, levels, place, bottom, step)
    return picture.svg(spec["title"], width, bottom + below)


def narrow_picture(spec: Spec) -> str:
    """Return the same chart with its levels downwards, as wide as a telephone."""
    spec = drawable(spec)
    chart, levels, shares = level_chart(spec), spec["levels"], spec["shares"]
    room = 0.06 * (chart.most - chart.least or abs(chart.most) or 1.0)
    low, high = chart.least - room, chart.most + room
    names = [shortened(level, _SIZE, _LONGEST_NARROW) for level in levels]
    left = 6 + max(text_width(name, _SIZE) for name in names)
    right = NARROW_WIDTH - _SHARE - 12
    row = max(13.0, 4.5 * len({line.shift for line in chart.series}) + 6)

    picture = SvgPicture()
    top = (legend_rows(picture, chart.series, 0, NARROW_WIDTH) if chart.has_legend else 4.0) + 12
    bottom = top + row * len(levels)

    def place(level: float, value: float) -> Point:
        return left + (value - low) / (high - low) * (right - left), top + (level + 0.5) * row

    ticks = round_ticks(low, high, max(2, int((right - left) / 38)))
    for tick, text in zip(ticks, tick_labels(ticks), strict=True):
        x = place(0, tick)[0]
        picture.lines([((x, top), (x, bottom + 3.5))], BAR)
        picture.text(text, (x, bottom + 12), _SIZE, anchor="middle")
        if len(levels) > 30:  # the axis below is out of sight
            picture.text(text, (x, top - 3), _SIZE, anchor="middle")
    _turned_bars(picture, shares, place, right + 12)
    picture.text("share", (NARROW_WIDTH, top - 3), _SIZE, anchor="end", colour=FAINT_TEXT)
    _series(picture, chart, place, (low, high), len(levels))
    picture.lines([((left, top), (left, bottom)), ((left, bottom), (right, bottom))], FAINT)
    for n, (name, level) in enumerate(zip(names, levels, strict=True)):
        picture.text(name, (left - 4, place(n, low)[1] + 3), _SIZE, anchor="end", full=level)
    picture.text(chart.what, ((left + right) / 2, bottom + 25), _SIZE, anchor="middle")
    return picture.svg(spec["title"], NARROW_WIDTH, bottom + 30)


def _series(
    picture: SvgPicture, chart: LevelChart, place: Place, ends: tuple[float, float], count: int
) -> None:
    """Add the points and intervals; what lies beyond the axis's ends is left out."""
    if chart.reference is not None:
        levels = (-0.5, count - 0.5)
        first, last = (place(level, chart.reference) for level in levels)
        picture.lines([(first, last)], INK)
    for line in chart.series:
        seen = [(n, y) for n, y in enumerate(line.y) if y is not None]
        picture.joined([place(n, y) for n, y in seen if n < line.joined], line.colour, 1.2)
        picture.lines(_intervals(line, place, ends), line.colour, 1)
        inside = [place(n + line.shift, y) for n, y in seen if ends[0] <= y <= ends[1]]
        picture.marks(line.mark, inside, line.colour)


def _intervals(
    line: LevelSeries, place: Place, ends: tuple[float, float]
) -> list[tuple[Point, Point]]:
    """Return the intervals as lines, cut where the axis ends."""
    low, high = ends
    drawn = []
    for n, (y, lower, upper) in enumerate(zip(line.y, line.lower, line.upper, strict=True)):
        if y is None or lower is None or upper is None or lower > high or upper < low:
            continue
        level = n + line.shift
        drawn.append((place(level, max(lower, low)), place(level, min(upper, high))))
    return drawn


def _upright_bars(
    picture: SvgPicture, shares: Sequence[float], place: Place, low: float, top: float, right: float
) -> float:
    """Add the bars and, at the right, their axis; return how wide that is."""
    most = max([*shares, 1e-12])
    height = (top - low) / most
    picture.bars(
        [(place(n - 0.4, low), place(n + 0.4, low + share * height))
         for n, share in enumerate(shares)], BAR,
    )  # fmt: skip
    ticks = round_ticks(0, most * 1.1, 3)
    texts = tick_labels(ticks, percent=True)
    for tick, text in zip(ticks, texts, strict=True):
        y = place(0, low + tick * height)[1]
        picture.lines([((right, y), (right + 3.5, y))], FAINT)
        picture.text(text, (right + 6, y + 3), _SIZE, colour=FAINT_TEXT)
    return 6 + max(text_width(text, _SIZE) for text in texts)


def _turned_bars(picture: SvgPicture, shares: Sequence[float], place: Place, left: float) -> None:
    most = max([*shares, 1e-12])
    ends = [left + share / most * _SHARE for share in shares]
    picture.bars(
        [((left, place(n - 0.4, 0)[1]), (end, place(n + 0.4, 0)[1]))
         for n, end in enumerate(ends)], BAR,
    )  # fmt: skip
    for n, share in enumerate(shares):
        at = NARROW_WIDTH, place(n, 0)[1] + 3
        text = f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"
        picture.text(text, at, _SIZE, anchor="end", colour=FAINT_TEXT)


def _names_below(
    picture: SvgPicture, levels: Sequence[str], place: Place, bottom: float, step: float
) -> float:
    """Add the levels' names, tilted where they need it, and return the height that they take.

    Of levels too many for all their names, every second or third has its name.
    """
    flat = max(text_width(level, _SIZE) for level in levels) <= step - 4
    size = _SIZE if step >= 11 or flat else 7.5
    every = 1 if flat else max(1, math.ceil(size / (step * math.sin(math.radians(_TILT)))))
    longest = 0.0
    for n in range(0, len(levels), every):
        x = place(n, 0)[0]
        picture.lines([((x, bottom), (x, bottom + 3.5))], INK)
        name = shortened(levels[n], size, _LONGEST)
        longest = max(longest, text_width(name, size))
        if flat:
            picture.text(name, (x, bottom + 13), size, anchor="middle", full=levels[n])
        else:
            at = (x + size * 0.35, bottom + 9)
            picture.text(name, at, size, anchor="end", turn=-_TILT, full=levels[n])
    return 18.0 if flat else 14 + longest * math.sin(math.radians(_TILT))
