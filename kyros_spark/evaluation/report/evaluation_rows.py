"""Hold the evaluation's rows that one report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class EvaluationRows:
    """The rows of the four evaluation tables for one batch and run, and what to show of them.

    part          the part that charts and tables show
    min_exposure  levels of fewer units are hidden
    """

    metrics: Sequence[Row]
    factors: Sequence[Row]
    lift: Sequence[Row]
    part: str
    min_exposure: float
    two_way: Sequence[Row] = ()

    def chart(self, kind: str, model: str, other: str = "") -> list[Row]:
        """Return the rows of a chart, by segment and quantile."""
        rows = [
            row
            for row in self.lift
            if (row["chart"], row["model_name"], row["other_model"], row["part"])
            == (kind, model, other, self.part)
        ]
        return sorted(rows, key=lambda row: (row["segment"], row["quantile"]))
