"""Draw tables as boxes, and an arrow from each to those that a stage made of it.

On a wide picture stages go from left to right, on a narrow one they go down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.drawable import drawable
from kyros_spark.evaluation.report.narrow import NARROW_WIDTH
from kyros_spark.evaluation.report.palette import FAINT, FAINT_TEXT
from kyros_spark.evaluation.report.svg_picture import Point, SvgPicture
from kyros_spark.evaluation.report.text_width import shortened, text_width

Spec = Mapping[str, Any]
_BOX, _ROW, _HEAD = (104.0, 42.0), 56.0, 24.0  # of a wide picture; the last for the stages' names
_TALL, _STAGE = 44.0, 88.0  # of a narrow one: a box, and a stage with the way to the next
_NAME, _NOTE = 9.0, 8.0  # sizes of text


def wide_lineage(spec: Spec, width: float) -> str:
    """Return the picture with its stages from left to right, as an SVG element."""
    spec = drawable(spec)
    apart = (width - _BOX[0] - 4) / max(1, len(spec["stages"]) - 1)
    rows = _rows(spec["boxes"])
    most = max(map(len, rows.values()))
    picture, places = SvgPicture(), {}
    for (stage, names), heading in zip(rows.items(), spec["stages"], strict=True):
        x = 2 + _BOX[0] / 2 + stage * apart
        for n, name in enumerate(names):
            places[name] = x, _HEAD + (n + (most - len(names)) / 2 + 0.5) * _ROW
        anchor = "end" if stage and stage == len(rows) - 1 else "middle"
        at = x + (_BOX[0] / 2 if anchor == "end" else 0), 11.0
        picture.text(heading["name"], at, 8, anchor=anchor, bold=True)
    half = _BOX[0] / 2
    picture.arrows([((places[a][0] + half, places[a][1]), (places[b][0] - half, places[b][1]))
                    for a, b in _arrows(spec)], FAINT)  # fmt: skip
    for box in spec["boxes"]:
        _box(picture, box, places[box["name"]], _BOX)
    return picture.svg(spec["title"], width, _HEAD + most * _ROW)


def narrow_lineage(spec: Spec) -> str:
    """Return the picture with its stages downwards, as wide as a telephone."""
    spec = drawable(spec)
    rows = _rows(spec["boxes"])
    apart = NARROW_WIDTH / max(map(len, rows.values()))
    size = min(apart - 5, _BOX[0]), _TALL
    picture, places, headings = SvgPicture(), {}, []
    for (stage, names), heading in zip(rows.items(), spec["stages"], strict=True):
        y = 14 + _TALL / 2 + stage * _STAGE
        for n, name in enumerate(names):
            places[name] = NARROW_WIDTH / 2 + (n - (len(names) - 1) / 2) * apart, y
        headings.append((heading["name"], (0.0, y - _TALL / 2 - 5)))
    half = _TALL / 2
    picture.arrows([((places[a][0], places[a][1] + half), (places[b][0], places[b][1] - half))
                    for a, b in _arrows(spec)], FAINT)  # fmt: skip
    for name, at in headings:
        picture.text(name, at, 8, bold=True)
    for box in spec["boxes"]:
        _box(picture, box, places[box["name"]], size)
    return picture.svg(spec["title"], NARROW_WIDTH, 16 + _TALL + (len(rows) - 1) * _STAGE)


def _rows(boxes: Sequence[Spec]) -> dict[int, list[str]]:
    """Return the names of each stage's tables, by the number of the stage."""
    rows: dict[int, list[str]] = {}
    for box in boxes:
        rows.setdefault(box["stage"], []).append(box["name"])
    return rows


def _arrows(spec: Spec) -> list[tuple[str, str]]:
    return [(arrow["from"], arrow["to"]) for arrow in spec["arrows"]]


def _box(picture: SvgPicture, box: Spec, middle: Point, size: Point) -> None:
    """Add a table; a name that is too long has its last part on a line of its own."""
    (x, y), width = middle, size[0]
    picture.frame((x - width / 2, y - size[1] / 2), size, FAINT)
    name = box["name"]
    lines = [name]
    if text_width(name, _NAME) > width - 6 and "_" in name:
        start, _, end = name.rpartition("_")
        lines = [f"{start}_", end]
    text_size = (
        _NAME if max(text_width(line, _NAME) for line in lines) <= width - 4 else _NAME - 1.5
    )
    top = y - 1 - 5 * (len(lines) - 1)
    for n, line in enumerate(lines):
        shown = shortened(line, text_size, width - 2)
        picture.text(shown, (x, top + 10 * n), text_size, anchor="middle", full=line)
    note = shortened(box["note"], _NOTE, width - 2)
    at = x, top + 10 * len(lines) + 2
    picture.text(note, at, _NOTE, anchor="middle", colour=FAINT_TEXT, full=box["note"])
