"""Draw axes and marks as an SVG element.

The SVG is written here: a report has a hundred charts, and a plotting library takes a tenth of a
second for each, which was most of what a small batch's evaluation cost. Text stays text, so the
page's fonts apply and a chart takes a few kilobytes.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterable, Sequence

from kyros_spark.evaluation.report.axes import FONT, Axis, text_width

INK, FAINT = "#1b1b1b", "#8a8a8a"
_TICK, _GAP, _EDGE = 3.0, 3.0, 6.0
_LINE = 1.35 * FONT  # from one line of a legend to the next
_KEY = 20.0  # the width of a legend's sample of a line
Point = tuple[float, float]


class Canvas:
    """A chart under construction: axes that fit its size, and elements in the order drawn."""

    def __init__(
        self,
        size: tuple[float, float],
        x: Axis,
        y: Axis,
        square: bool = False,
        right: Axis | None = None,
    ) -> None:
        """Lay out the axes. size: inches. square: one unit is as long on both axes."""
        self._width, self._height = (72 * side for side in size)
        self._x, self._y, self._right = x, y, right
        self._left = _EDGE + (FONT + _GAP if y.label else 0) + y.reach() + _TICK + _GAP
        self._top = _EDGE
        label_height = FONT + 2 * _GAP if x.label else 0.0
        bottom = _EDGE + x.depth() + _TICK + _GAP + label_height
        right_space = 2 * _EDGE
        if right is not None:
            right_space = _EDGE + right.reach() + _TICK + 2 * _GAP + FONT
        self._wide = self._width - self._left - right_space
        self._high = self._height - self._top - bottom
        if square:
            self._wide = self._high = min(self._wide, self._high)
        self._elements: list[str] = []
        self._drawn: list[Point] = []  # where the data are, which a legend avoids

    def at(self, x: float, y: float) -> Point:
        """Return where a pair of data lies; a value beyond an axis lies at its end."""
        return (
            self._left + min(1.0, max(0.0, self._x.share(x))) * self._wide,
            self._top + (1 - min(1.0, max(0.0, self._y.share(y)))) * self._high,
        )

    def line(
        self,
        x: Sequence[float],
        y: Sequence[float | None],
        colour: str,
        width: float = 1.6,
        dashes: str = "",
        is_data: bool = True,
    ) -> None:
        """Draw a line through points; it is interrupted where y is None."""
        run: list[Point] = []
        for a, b in [*zip(x, y, strict=True), (0.0, None)]:
            if b is not None:
                run.append(self.at(a, b))
                continue
            if len(run) > 1:
                path = "L".join(f"{left:.1f} {top:.1f}" for left, top in run)
                self._elements.append(
                    f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"'
                    f' stroke-linejoin="round"{_dashed(dashes)}/>'
                )
            self._drawn += _along(run) if is_data else []
            run = []

    def level(self, y: float, colour: str, width: float, dashes: str = "") -> None:
        """Draw a level line across the chart."""
        self.line((self._x.low, self._x.high), (y, y), colour, width, dashes, is_data=False)

    def marks(self, x: Sequence[float], y: Sequence[float | None], shape: str, fill: str) -> None:
        """Draw a mark at each point that has a y within the axis."""
        for a, b in zip(x, y, strict=True):
            if b is not None and self._y.low <= b <= self._y.high:
                self._elements.append(mark(shape, *self.at(a, b), fill))
                self._drawn.append(self.at(a, b))

    def intervals(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
    ) -> None:
        """Draw a vertical line from low to high at each x."""
        for place, least, most in zip(x, low, high, strict=True):
            (left, bottom), (_, top) = self.at(place, least), self.at(place, most)
            if bottom > top:
                self._elements.append(_segment(left, bottom, left, top, colour, 1.0))

    def bars(
        self, heights: Iterable[float], width: float, fill: str, axis: Axis, texts: Iterable[str]
    ) -> None:
        """Draw bars at 0, 1, 2 ... from the bottom up to a height on an axis, a text above each."""
        for place, (height, text) in enumerate(zip(heights, texts, strict=True)):
            left, _ = self.at(place - width / 2, self._y.low)
            right, _ = self.at(place + width / 2, self._y.low)
            tall = axis.share(height) * self._high
            top = self._top + self._high - tall
            self._elements.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
                f' height="{tall:.1f}" fill="{fill}"/>'
            )
            if text:
                self._text((left + right) / 2, top - 2, text, "middle", INK, FONT - 1)

    def legend(
        self,
        entries: Sequence[tuple[str, str, str, str]],
        columns: int = 1,
        avoid: bool = False,
    ) -> None:
        """Name lines: (name, colour, dashes, shape of the mark), in the upper left corner.

        A dashes of "none" stands for marks without a line. avoid: take the corner where the fewest
        data are.
        """
        size = FONT - 1
        cell = _KEY + _GAP + max(text_width(name, size) for name, *_ in entries) + 2 * _GAP
        columns = max(1, min(columns, int(self._wide // cell)))
        wide, high = columns * cell, -(-len(entries) // columns) * _LINE
        left, top = self._corner(wide, high) if avoid else (self._left + 4, self._top + 2)
        for number, (name, colour, dashes, shape) in enumerate(entries):
            x = left + number % columns * cell
            y = top + number // columns * _LINE + _LINE / 2
            if dashes != "none":
                self._elements.append(_segment(x, y, x + _KEY, y, colour, 1.6, dashes))
            self._elements.append(mark(shape, x + _KEY / 2, y, colour) if shape else "")
            self._text(x + _KEY + _GAP, y + size * 0.35, name, "start", INK, size)

    def svg(self, title: str) -> str:
        """Return the chart as an SVG element."""
        self._axes()
        return (
            f'<svg role="img" aria-label="{html.escape(title)}" xmlns="http://www.w3.org/2000/svg"'
            f' width="{self._width:g}pt" height="{self._height:g}pt"'
            f' viewBox="0 0 {self._width:g} {self._height:g}" font-family="sans-serif"'
            f' font-size="{FONT:g}">{"".join(self._elements)}</svg>'
        )

    def _corner(self, wide: float, high: float) -> Point:
        lefts = (self._left + self._wide - wide - 2, self._left + 4)
        tops = (self._top + 2, self._top + self._high - high - 4)
        corners = [(left, top) for top in tops for left in lefts]

        def covered(corner: Point) -> int:
            left, top = corner
            return sum(left <= x <= left + wide and top <= y <= top + high for x, y in self._drawn)

        return min(corners, key=covered)

    def _axes(self) -> None:
        left, bottom = self._left, self._top + self._high
        draw = self._elements
        draw.append(_segment(left, self._top, left, bottom, FAINT, 0.8))
        draw.append(_segment(left, bottom, left + self._wide, bottom, FAINT, 0.8))
        for value, label in self._x.ticks:
            x, below = self.at(value, self._y.low)[0], bottom + _TICK + _GAP
            draw.append(_segment(x, bottom, x, bottom + _TICK, FAINT, 0.8))
            anchor = "end" if self._x.tilt else "middle"
            rise = self._x.size * (0.5 if self._x.tilt else 0.8)
            self._text(x, below + rise, label, anchor, INK, self._x.size, -self._x.tilt)
        for value, label in self._y.ticks:
            y = self.at(self._x.low, value)[1]
            draw.append(_segment(left - _TICK, y, left, y, FAINT, 0.8))
            self._text(left - _TICK - _GAP, y + FONT * 0.35, label, "end", INK)
        if self._right is not None:
            self._right_axis(self._right, left + self._wide, bottom)
        middle = self._top + self._high / 2
        if self._y.label:
            self._text(_EDGE + FONT * 0.8, middle, self._y.label, "middle", INK, FONT, -90)
        if self._x.label:
            center = left + self._wide / 2
            self._text(center, self._height - _EDGE, self._x.label, "middle", INK)

    def _right_axis(self, axis: Axis, left: float, bottom: float) -> None:
        for value, label in axis.ticks:
            y = bottom - axis.share(value) * self._high
            self._elements.append(_segment(left, y, left + _TICK, y, FAINT, 0.8))
            self._text(left + _TICK + _GAP, y + FONT * 0.35, label, "start", FAINT)
        middle = self._top + self._high / 2
        self._text(self._width - _EDGE, middle, axis.label, "middle", FAINT, FONT, -90)

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        anchor: str,
        colour: str,
        size: float = FONT,
        turn: int = 0,
    ) -> None:
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self._elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}"'
            f' fill="{colour}"{turned}>{html.escape(text)}</text>'
        )


def mark(shape: str, x: float, y: float, fill: str) -> str:
    """Return a mark: o circle, s square, ^ and v triangles, D diamond, P plus."""
    if shape == "o":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{fill}"/>'
    corners = {
        "s": ((-2.2, -2.2), (2.2, -2.2), (2.2, 2.2), (-2.2, 2.2)),
        "^": ((0, -2.4), (2.4, 2), (-2.4, 2)),
        "v": ((0, 2.4), (2.4, -2), (-2.4, -2)),
        "D": ((0, -2.8), (2.8, 0), (0, 2.8), (-2.8, 0)),
        "P": ((-0.8, -2.4), (0.8, -2.4), (0.8, -0.8), (2.4, -0.8), (2.4, 0.8), (0.8, 0.8),
              (0.8, 2.4), (-0.8, 2.4), (-0.8, 0.8), (-2.4, 0.8), (-2.4, -0.8), (-0.8, -0.8)),
    }[shape]  # fmt: skip
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{points}" fill="{fill}"/>'


def _segment(
    x: float, y: float, to_x: float, to_y: float, colour: str, width: float, dashes: str = ""
) -> str:
    return (
        f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colour}"'
        f' stroke-width="{width}"{_dashed(dashes)}/>'
    )


def _dashed(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""


def _along(points: Sequence[Point], step: float = 6.0) -> list[Point]:
    """Return points every few points of length along a line."""
    places = list(points[:1])
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        count = max(1, int(math.hypot(to_x - x, to_y - y) / step))
        places += [
            (x + (to_x - x) * n / count, y + (to_y - y) * n / count) for n in range(1, count + 1)
        ]
    return places
