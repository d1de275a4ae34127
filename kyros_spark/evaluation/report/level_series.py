"""Say what a chart by level shows, whatever its kind: points, intervals, and the axis for them.

Kinds: `one_way`, means as one-way tables have them; `factor`, actual over expected; `dependence`,
a feature's mean effect on prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyros_spark.evaluation.report.palette import COLOURS, INK, MARKS

Spec = Mapping[str, Any]
Numbers = Sequence[float | None]
_SHIFT = 0.22  # of a level's width, between models at one level
_WIDEST = 0.66  # of a level's width, for all models together
_LEAST_SHARE = 0.01  # of exposure: smaller levels do not stretch the axis


@dataclass(frozen=True)
class LevelSeries:
    """The numbers of one model, or of what was observed, by level.

    joined  how many levels, from the first, have a line through their points
    shift   of the points from the middle of their level, as a part of its width
    """

    name: str
    mark: str
    colour: str
    y: Numbers
    lower: Numbers
    upper: Numbers
    joined: int = 0
    shift: float = 0.0


@dataclass(frozen=True)
class LevelChart:
    """What a chart by level shows. least, most: of the values that have to be seen."""

    series: Sequence[LevelSeries]
    reference: float | None
    least: float
    most: float
    what: str
    has_legend: bool


def level_chart(spec: Spec) -> LevelChart:
    """Return what the chart of a specification shows."""
    return _READERS[spec["kind"]](spec)


def _one_way(spec: Spec) -> LevelChart:
    none: Numbers = [None] * len(spec["levels"])
    models = [
        LevelSeries(line["name"], MARKS[line["number"] % 6], COLOURS[line["number"] % 6],
                    _finite(line["y"]), none, none, joined=len(none))
        for line in spec["lines"]
    ]  # fmt: skip
    seen = spec["observed"]
    y, lower, upper = _finite(seen["y"]), _finite(seen["lower"]), _finite(seen["upper"])
    observed = LevelSeries("observed", MARKS[0], INK, y, lower, upper)
    means = [y for model in models for y in model.y if y is not None] or [0.0]
    ends = _ends([observed], spec["shares"], min(means), max(means))
    return LevelChart([*models, observed], None, *ends, spec["ylabel"], True)


def _factor(spec: Spec) -> LevelChart:
    lines = spec["lines"]
    apart = min(_SHIFT, _WIDEST / len(lines))
    series = [
        LevelSeries(line["name"], MARKS[line["number"] % 6], COLOURS[line["number"] % 6],
                    _finite(line["y"]), _finite(line["lower"]), _finite(line["upper"]),
                    shift=(place - (len(lines) - 1) / 2) * apart)
        for place, line in enumerate(lines)
    ]  # fmt: skip
    least, most = _ends(series, spec["shares"], 0.8, 1.2)
    return LevelChart(series, 1.0, least, min(most, 3.0), "actual / expected", True)


def _dependence(spec: Spec) -> LevelChart:
    none: Numbers = [None] * len(spec["levels"])
    y, neutral = _finite(spec["effects"]), spec["neutral"]
    effects = LevelSeries(spec["feature"], MARKS[0], COLOURS[1], y, none, none, spec["joined"])
    values = [neutral, *(effect for effect in y if effect is not None)]
    ends = min(values), max(values)
    return LevelChart([effects], neutral, *ends, spec["ylabel"], False)


def _finite(values: Numbers) -> Numbers:
    return [value if value is not None and math.isfinite(value) else None for value in values]


def _ends(
    series: Sequence[LevelSeries], shares: Sequence[float], least: float, most: float
) -> tuple[float, float]:
    """Return the ends of the axis that shows all intervals of large levels."""
    for line in series:
        for y, lower, upper, share in zip(line.y, line.lower, line.upper, shares, strict=True):
            if share >= _LEAST_SHARE and y is not None:
                ends = [end for end in (y, lower, upper) if end is not None]
                least, most = min(least, *ends), max(most, *ends)
    return max(0.0, least), most


_READERS = {"one_way": _one_way, "factor": _factor, "dependence": _dependence}
