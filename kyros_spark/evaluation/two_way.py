"""Sum observed and expected by the combinations of two factors' levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.evaluation.charts import sums_by_level
from kyros_spark.evaluation.factors import (
    OTHER_LEVELS,
    Factors,
    LargeLevels,
    Models,
    level_codes,
)
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.metrics import ratio
from kyros_spark.evaluation.results import EvaluationContext
from kyros_spark.evaluation.rows import SUMS, row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.sums_by_group import SumsByGroup

MOST_LEVELS = 30  # of a factor; the others are added up, since a picture of more is not read
_CELL = ("factor", "other_factor", "level", "other_level")
FactorPairs = Sequence[tuple[str, str]]


class TwoWaySums(SumsByGroup):
    """Sums by two factors, their levels and part.

    Besides these five, a row has ``_size`` (exposure), and the SUMS as ``NAME_n`` for model
    number n.
    """

    def __init__(
        self, pairs: FactorPairs, factors: Factors, large: LargeLevels, models: Models
    ) -> None:
        """Take pairs of factors, the levels that keep their names, and the models."""
        names = [f"{name}_{model.number}" for model in models for name in SUMS]
        super().__init__((*_CELL, "part"), ["_size", *names])
        self._pairs, self._factors = pairs, factors
        self._large, self._models = large, models

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        measures = Measures(batch)
        rows, parts = measures.rows, measures.parts
        columns = {"_size": rows.numbers("exposure").times(rows.stands_for)}
        for model in self._models:
            sums = measures.sums(model).items()
            columns |= {f"{name}_{model.number}": column for name, column in sums}
        coded = {name: self._codes(rows, name) for pair in self._pairs for name in pair}
        names = np.zeros(rows.count, dtype=np.int64)
        for factor, other in self._pairs:
            (codes, levels), (other_codes, other_levels) = coded[factor], coded[other]
            self.add_groups(
                [names, names, codes, other_codes, parts.codes],
                [[factor], [other], levels, other_levels, parts.texts],
                columns,
            )

    def _codes(self, rows: Any, name: str) -> tuple[np.ndarray, list[str]]:
        """Return each row's level as a position among those shown, and these."""
        codes, levels = level_codes(rows, name, self._factors[name])
        shown = [level if level in self._large[name] else OTHER_LEVELS for level in levels]
        distinct = list(dict.fromkeys(shown))
        return np.array([distinct.index(level) for level in shown])[codes], distinct


def two_way_sums(
    rows: RowSource,
    extra: Sequence[str],
    pairs: FactorPairs,
    factors: Factors,
    large: LargeLevels,
    models: Models,
) -> list[dict[str, Any]]:
    """Return the TwoWaySums of all rows, one dictionary per combination of levels and part.

    extra: columns that judging needs besides the models' own and the factors.
    large: the levels of each factor that keep their names; the others are summed as OTHER_LEVELS.
    """
    needed = row_columns(models, *extra, *factors)
    return rows.aggregate(needed, lambda: TwoWaySums(pairs, factors, large, models)).result()


def level_sizes(sums: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the exposure by factor and level, as `factors.ordered_levels` takes it."""
    sides = (("factor", "level"), ("other_factor", "other_level"))
    return [
        {"factor": row[factor], "level": row[level], "_size": row["_size"] or 0.0}
        for row in sums
        for factor, level in sides
    ]


def two_way_rows(
    context: EvaluationContext,
    model: EvaluatedModel,
    sums: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_two_way` for one model.

    sums: from two_way_sums. levels: each factor's, in the order in which they are shown.
    """
    names = {f"{name}_{model.number}": name for name in SUMS}
    place = {name: {level: n for n, level in enumerate(of, 1)} for name, of in levels.items()}
    for part in context.parts:
        added = sums_by_level(sums, part, names, _CELL)
        units: dict[tuple[str, str], float] = {}
        for (factor, other, *_), cell in added.items():
            units[factor, other] = units.get((factor, other), 0.0) + (cell["units"] or 0.0)
        for (factor, other, level, other_level), cell in added.items():
            if cell["rows"]:
                yield {
                    **context.row(model, part, cell),
                    "factor": factor,
                    "level": level,
                    "level_order": place[factor][level],
                    "other_factor": other,
                    "other_level": other_level,
                    "other_level_order": place[other][other_level],
                    "units_share": ratio(cell["units"], units[factor, other]),
                }
