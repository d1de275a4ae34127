"""Cut numeric factors into groups of equal exposure, so that they have levels too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.arrays import BatchArrays, Numbers
from kyros_spark.evaluation.ordered import (
    ROWS_PER_RANGE,
    VALUE,
    cumulated,
    quantiles,
    range_bounds,
    range_of,
    range_totals,
)
from kyros_spark.evaluation.ordered_arrays import OrderedRows
from kyros_spark.evaluation.rows import STANDS_FOR
from kyros_spark.transforms.encode import MISSING_LEVEL

_CURVE = ("factor",)


@dataclass(frozen=True)
class NumberGroups:
    """The groups of one numeric factor: the largest value of each group, and its label."""

    most: tuple[float, ...]
    labels: tuple[str, ...]

    def level(self, name: str) -> Column:
        """Return the expression of a row's group label, given the factor's column."""
        level = F.lit(self.labels[-1]) if self.labels else F.lit(MISSING_LEVEL)
        for bound, label in list(zip(self.most, self.labels, strict=True))[-2::-1]:
            level = F.when(F.col(name) <= bound, label).otherwise(level)
        return F.when(F.col(name).isNull(), MISSING_LEVEL).otherwise(level)

    def codes(self, values: Numbers) -> np.ndarray:
        """Return the position of each number's label among ``labels`` and MISSING_LEVEL."""
        if not self.labels:
            return np.zeros(values.values.size, dtype=np.int64)
        group = np.searchsorted(np.array(self.most[:-1]), values.values, side="left")
        return np.where(values.given, group, len(self.labels))


def number_values(
    wide: DataFrame, names: Sequence[str], rows: int, rows_per_range: int = ROWS_PER_RANGE
) -> DataFrame:
    """Return one row per factor and distinct value, with exposure cumulated within its range.

    rows: the size of the batch. Persist the result: it is read twice.
    """
    bounds = range_bounds(wide, {n: F.col(n) for n in names}, rows // rows_per_range)
    factor_values = F.array(
        *(
            F.struct(
                F.lit(name).alias("factor"),
                range_of(F.col(name), bounds.get(name, ())),
                F.col(name).cast("double").alias(VALUE),
            )
            for name in names
        )
    )
    units = (F.col("exposure") * F.col(STANDS_FOR)).alias("units")
    long = wide.select(F.inline(factor_values), units, F.lit(0.0).alias("observed"))
    return cumulated(long.where(F.col(VALUE).isNotNull()), _CURVE, ("units", "observed"))


def number_groups(
    values: DataFrame, names: Sequence[str], count: int
) -> Mapping[str, NumberGroups]:
    """Return the groups of each factor: equal exposure, equal values always in the same group."""
    totals = range_totals(values, _CURVE)
    rows = quantiles(values, totals, _CURVE, ("units",), count)
    groups = {}
    for name in names:
        ends = [(row["least"], row["most"]) for row in rows if row["factor"] == name]
        groups[name] = NumberGroups(tuple(most for _, most in ends), _labels(ends))
    return groups


def local_number_groups(
    table: pa.Table, names: Sequence[str], count: int
) -> Mapping[str, NumberGroups]:
    """Return the groups of each factor, of rows in this process."""
    rows = BatchArrays(table)
    units = rows.numbers("exposure").times(rows.stands_for)
    groups = {}
    for name in names:
        values = rows.numbers(name)
        given = np.flatnonzero(values.given)
        ties = OrderedRows(values.values[given]).tie_groups(
            {"units": units.chosen(given)}, np.arange(given.size)
        )
        ends = [(row["least"], row["most"]) for row in ties.quantiles(count)]
        groups[name] = NumberGroups(tuple(most for _, most in ends), _labels(ends))
    return groups


def _labels(ends: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """Return a label for each group, with as few digits as tell all groups apart."""
    labels: tuple[str, ...] = ()
    for digits in (4, 6, 9, 17):
        labels = tuple(_label(*pair, digits) for pair in ends)
        if len(set(labels)) == len(labels):
            break
    return labels


def _label(least: float, most: float, digits: int) -> str:
    low, high = (f"{end:.{digits}g}" for end in (least, most))
    return low if low == high else f"{low} to {high}"
