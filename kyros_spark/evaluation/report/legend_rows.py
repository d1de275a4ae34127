"""Set the names of a chart's series in rows above it, as many to a row as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from kyros_spark.evaluation.report.level_series import LevelSeries
from kyros_spark.evaluation.report.svg_picture import SvgPicture
from kyros_spark.evaluation.report.text_width import shortened, text_width

SIZE, ROW = 8, 13.0
_MARK, _GAP = 16.0, 14.0  # room for a mark, and between two names


def legend_rows(
    picture: SvgPicture, series: Sequence[LevelSeries], left: float, width: float
) -> float:
    """Add the names, and return the height that they take."""
    x, y = left, ROW
    for line in series:
        name = shortened(line.name, SIZE, width - _MARK)
        needed = _MARK + text_width(name, SIZE)
        if x > left and x + needed > left + width:
            x, y = left, y + ROW
        middle = y - SIZE * 0.35
        if line.joined:
            picture.lines([((x, middle), (x + 12, middle))], line.colour, 1.1)
        elif any(end is not None for end in line.lower):
            picture.lines([((x + 6, middle - 4.5), (x + 6, middle + 4.5))], line.colour, 1)
        picture.marks(line.mark, [(x + 6, middle)], line.colour)
        picture.text(name, (x + _MARK, y), SIZE, full=line.name)
        x += needed + _GAP
    return y + 6
