"""Write an SVG element from lines, bars, marks and texts.

Charts by level are most of a report. matplotlib took a tenth of a second for each and wrote 20 KB;
this takes a thousandth and writes 4. Units are points, as matplotlib's are, and y grows downwards.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from itertools import groupby

from kyros_spark.evaluation.report.palette import INK

Point = tuple[float, float]
_SHAPES = {  # from its middle, as wide as one of matplotlib's marks of four points
    "o": "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0z",
    "s": "m-2-2h4v4h-4z",
    "^": "m0-2.3l2.2 4.3h-4.4z",
    "D": "m0-2.7l2.7 2.7l-2.7 2.7l-2.7-2.7z",
    "v": "m0 2.3l2.2-4.3h-4.4z",
    "P": "m-.8-2.3h1.6v1.5h1.5v1.6h-1.5v1.5h-1.6v-1.5h-1.5v-1.6h1.5z",
}


class SvgPicture:
    """A picture under way: what is added later lies on top."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, str]] = []  # the style, and what is drawn in it

    def lines(self, ends: Sequence[tuple[Point, Point]], colour: str, width: float = 0.8) -> None:
        """Add separate straight lines of one colour."""
        path = "".join(f"M{_at(start)}L{_at(end)}" for start, end in ends)
        self._add_path(path, f'stroke="{colour}" stroke-width="{width:g}"')

    def joined(self, points: Sequence[Point], colour: str, width: float) -> None:
        """Add a line through points."""
        path = "M" + "L".join(map(_at, points)) if points else ""
        self._add_path(path, f'fill="none" stroke="{colour}" stroke-width="{width:g}"')

    def bars(self, boxes: Sequence[tuple[Point, Point]], colour: str) -> None:
        """Add filled rectangles, each by two corners that lie across from each other."""
        path = "".join(
            f"M{_at(start)}H{_number(end[0])}V{_number(end[1])}H{_number(start[0])}z"
            for start, end in boxes
        )
        self._add_path(path, f'fill="{colour}"')

    def marks(self, shape: str, points: Sequence[Point], colour: str) -> None:
        """Add a mark at each point; shape: the letter that matplotlib has for it."""
        path = "".join(f"M{_at(point)}{_SHAPES[shape]}" for point in points)
        self._add_path(path, f'fill="{colour}"')

    def dots(self, points: Sequence[Point], colour: str, width: float) -> None:
        """Add a dot at each point, in the fewest letters: a line of no length with round ends."""
        path = "".join(f"M{_at(point)}h0" for point in points)
        style = f'stroke="{colour}" stroke-width="{width:g}" stroke-linecap="round"'
        self._add_path(path, style)

    def arrows(self, ends: Sequence[tuple[Point, Point]], colour: str) -> None:
        """Add straight arrows, each from its first end to the second."""
        self.lines(ends, colour, 1.1)
        heads = []
        for (x, y), (tip_x, tip_y) in ends:
            length = math.hypot(tip_x - x, tip_y - y) or 1.0
            along, aside = 6 * (tip_x - x) / length, 6 * (tip_y - y) / length
            corners = [(tip_x - along + k * aside, tip_y - aside - k * along) for k in (0.4, -0.4)]
            heads.append(f"M{_at((tip_x, tip_y))}L{'L'.join(map(_at, corners))}z")
        self._add_path("".join(heads), f'fill="{colour}"')

    def frame(self, corner: Point, size: Point, colour: str) -> None:
        """Add an empty box with round corners, by its upper left corner."""
        place = " ".join(
            f'{name}="{_number(value)}"'
            for name, value in zip(("x", "y", "width", "height"), (*corner, *size), strict=True)
        )
        self._parts.append((f'fill="#fff" stroke="{colour}"', f'<rect {place} rx="6"/>'))

    def text(
        self, text: str, at: Point, size: float,
        *, colour: str = INK, anchor: str = "start", turn: float = 0, bold: bool = False,
        full: str = "",
    ) -> None:  # fmt: skip
        """Add a text, its baseline at a point. turn: in degrees; full: what it is short for."""
        x, y = map(_number, at)
        style = f'font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"'
        if bold:  # a heading, which lines that cross it leave readable
            style += ' font-weight="bold" stroke="#fff" stroke-width="3" paint-order="stroke"'
        how = f' transform="rotate({turn:g} {x} {y})"' if turn else ""
        tip = f"<title>{html.escape(full)}</title>" if full and full != text else ""
        drawn = f'<text x="{x}" y="{y}"{how}>{html.escape(text)}{tip}</text>'
        self._parts.append((style, drawn))

    def svg(self, title: str, width: float, height: float) -> str:
        """Return the SVG element."""
        groups = groupby(self._parts, key=lambda part: part[0])
        drawn = "".join(
            f"<g {style}>{''.join(part for _, part in parts)}</g>" for style, parts in groups
        )
        size = f'width="{_number(width)}pt" height="{_number(height)}pt"'
        return (
            f'<svg role="img" aria-label="{html.escape(title)}" {size} '
            f'viewBox="0 0 {_number(width)} {_number(height)}" '
            f'xmlns="http://www.w3.org/2000/svg">{drawn}</svg>'
        )

    def _add_path(self, path: str, style: str) -> None:
        if path:
            self._parts.append((style, f'<path d="{path}"/>'))


def _at(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
