"""Draw the contributions of a sample of policies: a dot per policy, a line of dots per feature.

Dark dots have large values. Thousands of dots are written as twelve paths, one a shade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.drawable import drawable
from kyros_spark.evaluation.report.narrow import NARROW_WIDTH
from kyros_spark.evaluation.report.palette import BAR, FAINT, FAINT_TEXT, INK
from kyros_spark.evaluation.report.svg_picture import Point, SvgPicture
from kyros_spark.evaluation.report.text_width import shortened, text_width
from kyros_spark.evaluation.report.value_axis import round_ticks, tick_labels

Spec = Mapping[str, Any]
# Viridis, by van der Walt and Smith: its lightness falls evenly, so that it is read without colour.
_SHADES = (
    "#fde725", "#c2df23", "#86d549", "#52c569", "#2ab07f", "#1e9b8a",
    "#25858e", "#2d708e", "#38588c", "#433e85", "#482173", "#440154",
)  # fmt: skip
_LANES = 9  # of dots that would lie on each other, on either side of a feature's line
_CELLS = 110  # parts of the axis in which dots count as of one place
_ROW, _TOP, _SIZE = 27.0, 16.0, 8.5
_LONGEST = 130.0  # of a feature's name, in points; a third of a narrow picture


def wide_beeswarm(spec: Spec, width: float) -> str:
    """Return the picture as an SVG element."""
    spec = drawable(spec)
    names = [shortened(name, _SIZE, min(_LONGEST, width / 3)) for name in spec["features"]]
    low = min((min(lane["x"]) for lane in spec["lanes"]), default=0.0)
    high = max((max(lane["x"]) for lane in spec["lanes"]), default=1.0)
    room = 0.03 * ((high - low) or 1.0)
    low, high = min(low, 0.0) - room, max(high, 0.0) + room
    left, right = 8 + max(text_width(name, _SIZE) for name in names), width - 6
    bottom = _TOP + _ROW * len(names)

    def place(value: float, row: float) -> Point:
        return left + (value - low) / (high - low) * (right - left), _TOP + (row + 0.5) * _ROW

    picture = SvgPicture()
    picture.lines([(place(low, n), place(high, n)) for n in range(len(names))], BAR)
    by_shade: list[list[Point]] = [[] for _ in _SHADES]
    for row, lane in enumerate(spec["lanes"]):
        shifts = _spread(lane["x"], high - low)
        for x, shift, shade in zip(lane["x"], shifts, lane["shade"], strict=True):
            number = round(min(1.0, max(0.0, shade)) * (len(_SHADES) - 1))
            by_shade[number].append(place(x, row - shift))
    for colour, points in zip(_SHADES, by_shade, strict=True):
        picture.dots(points, colour, 2.8 if width > NARROW_WIDTH else 2.0)
    picture.lines([(place(0, -0.5), place(0, len(names) - 0.5))], INK)
    picture.lines([((left, _TOP), (left, bottom)), ((left, bottom), (right, bottom))], FAINT)
    for row, (name, full) in enumerate(zip(names, spec["features"], strict=True)):
        at = left - 4, place(0, row)[1] + 3
        picture.text(name, at, _SIZE, anchor="end", full=full)
    ticks = round_ticks(low, high, max(3, int((right - left) / 50)))
    for tick, text in zip(ticks, tick_labels(ticks), strict=True):
        x = place(tick, 0)[0]
        picture.lines([((x, bottom), (x, bottom + 3.5))], INK)
        picture.text(text, (x, bottom + 13), _SIZE, anchor="middle")
    picture.text(spec["xlabel"], ((left + right) / 2, bottom + 27), _SIZE, anchor="middle")
    note = "light: small value or level, dark: large"
    picture.text(note, (right, 10), 7.5, anchor="end", colour=FAINT_TEXT)
    return picture.svg(spec["title"], width, bottom + 32)


def narrow_beeswarm(spec: Spec) -> str:
    """Return the picture as wide as a telephone."""
    return wide_beeswarm(spec, NARROW_WIDTH)


def _spread(x: Sequence[float], width: float) -> list[float]:
    """Return how far each dot is moved off its line, so that dots of one place stay apart."""
    counts: dict[int, int] = {}
    shifts = []
    for value in x:
        cell = round(value / width * _CELLS)
        number = counts.get(cell, 0)
        counts[cell] = number + 1
        lane = (number + 1) // 2 * (1 if number % 2 else -1)
        shifts.append(max(-_LANES, min(_LANES, lane)) * 0.42 / _LANES)
    return shifts
