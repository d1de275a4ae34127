"""Describe a batch's joined rows to the measures, wherever the rows are.

Sums by group are states that both runners share (aggregates/). What rests on an order of all rows
is not: executors cut the values into ranges (ordered.py), this process sorts (ordered_arrays.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pyspark.sql import DataFrame

from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource
from kyros_spark.aggregates.state import AnyState
from kyros_spark.evaluation.curves import Curves, Pair, curve_groups, curve_points
from kyros_spark.evaluation.factors import (
    Factors,
    LargeLevels,
    largest_levels,
    local_largest_levels,
)
from kyros_spark.evaluation.local_curves import local_curves
from kyros_spark.evaluation.numbers import (
    NumberGroups,
    local_number_groups,
    number_groups,
    number_values,
)
from kyros_spark.evaluation.ordered import ROWS_PER_RANGE
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.spark.persisted import persisted

JOINED = ("claim_count",)  # columns of the joined rows that judging takes where they are there


class JudgedRows(RowSource, Protocol):
    """Joined rows: one per policy with targets, factors and the prediction of each model."""

    @property
    def extra(self) -> tuple[str, ...]:
        """Return the columns of JOINED that the rows have."""

    def aggregate_exactly(
        self, columns: Sequence[str], new_state: Callable[[], AnyState]
    ) -> AnyState:
        """Return what `aggregate` does, of a state that does not depend on the order of rows."""

    def curves(self, models: Sequence[EvaluatedModel], pairs: Sequence[Pair], count: int) -> Curves:
        """Return Ginis and quantiles of the models' predictions and the pairs' ratios."""

    def number_groups(self, names: Sequence[str], count: int) -> Mapping[str, NumberGroups]:
        """Return the groups of equal exposure of each numeric factor."""

    def largest_levels(self, factors: Factors, most: int) -> LargeLevels:
        """Return the levels of each factor that have most exposure."""


class LocalJudgedRows(DriverRows):
    """Joined rows in this process."""

    @property
    def extra(self) -> tuple[str, ...]:
        """Return the columns of JOINED that the rows have."""
        return tuple(name for name in JOINED if name in self.table.column_names)

    def curves(self, models: Sequence[EvaluatedModel], pairs: Sequence[Pair], count: int) -> Curves:
        """Return Ginis and quantiles, from sorted arrays."""
        return local_curves(self.table, models, pairs, count)

    def number_groups(self, names: Sequence[str], count: int) -> Mapping[str, NumberGroups]:
        """Return the groups of each numeric factor, from sorted arrays."""
        return local_number_groups(self.table, names, count)

    def largest_levels(self, factors: Factors, most: int) -> LargeLevels:
        """Return the levels of each factor that have most exposure."""
        return local_largest_levels(self.table, factors, most)


class ExecutorJudgedRows(ExecutorRows):
    """Joined rows on the executors."""

    def __init__(self, frame: DataFrame, rows: int, rows_per_range: int = ROWS_PER_RANGE) -> None:
        """Take the rows, persisted, and about how many there are."""
        super().__init__(frame)
        self._rows, self._rows_per_range = rows, rows_per_range

    @property
    def extra(self) -> tuple[str, ...]:
        """Return the columns of JOINED that the rows have."""
        return tuple(name for name in JOINED if name in self.frame.columns)

    def aggregate_exactly(
        self, columns: Sequence[str], new_state: Callable[[], AnyState]
    ) -> AnyState:
        """Return the state of all rows."""
        return self.aggregate(columns, new_state)

    def curves(self, models: Sequence[EvaluatedModel], pairs: Sequence[Pair], count: int) -> Curves:
        """Return Ginis and quantiles, from ranges of values."""
        groups = curve_groups(self.frame, models, pairs, self._rows, self._rows_per_range)
        with persisted(groups) as groups:
            return curve_points(groups, count)

    def number_groups(self, names: Sequence[str], count: int) -> Mapping[str, NumberGroups]:
        """Return the groups of each numeric factor, from ranges of values."""
        values = number_values(self.frame, names, self._rows, self._rows_per_range)
        with persisted(values) as values:
            return number_groups(values, names, count)

    def largest_levels(self, factors: Factors, most: int) -> LargeLevels:
        """Return the levels of each factor that have most exposure."""
        return largest_levels(self.frame, factors, most)
