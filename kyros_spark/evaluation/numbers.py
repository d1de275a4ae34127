"""Cut the numbers among the factors into groups of equal exposure, so that they have levels too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.ordered import (
    ROWS_A_RANGE,
    VALUE,
    cumulated,
    quantiles,
    range_bounds,
    range_of,
    range_totals,
)
from kyros_spark.evaluation.rows import STANDS_FOR
from kyros_spark.transforms.encode import MISSING_LEVEL

_CURVE = ("factor",)


@dataclass(frozen=True)
class NumberGroups:
    """The groups of one number: the largest value of each, and what it is called."""

    most: tuple[float, ...]
    labels: tuple[str, ...]

    def level(self, name: str) -> Column:
        """Return the label of a row's group."""
        found = F.lit(self.labels[-1]) if self.labels else F.lit(MISSING_LEVEL)
        for bound, label in list(zip(self.most, self.labels, strict=True))[-2::-1]:
            found = F.when(F.col(name) <= bound, label).otherwise(found)
        return F.when(F.col(name).isNull(), MISSING_LEVEL).otherwise(found)


def number_values(
    wide: DataFrame, names: Sequence[str], rows: int, rows_a_range: int = ROWS_A_RANGE
) -> DataFrame:
    """Return a row a number's distinct value, cumulated by exposure. Hold it: it is read twice."""
    bounds = range_bounds(wide, {n: F.col(n) for n in names}, rows // rows_a_range)
    each = F.array(
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
    rows_ = wide.select(F.inline(each), units, F.lit(0.0).alias("observed"))
    return cumulated(rows_.where(F.col(VALUE).isNotNull()), _CURVE, ("units", "observed"))


def number_groups(
    values: DataFrame, names: Sequence[str], count: int
) -> Mapping[str, NumberGroups]:
    """Return the groups of each number: equal exposure, a tie in one group whole."""
    totals = range_totals(values, _CURVE)
    found = quantiles(values, totals, _CURVE, ("units",), count)
    groups = {}
    for name in names:
        mine = [row for row in found if row["factor"] == name]
        ends = [(row["least"], row["most"]) for row in mine]
        groups[name] = NumberGroups(tuple(most for _, most in ends), _labels(ends))
    return groups


def _labels(ends: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    labels: tuple[str, ...] = ()
    for digits in (4, 6, 9, 17):
        labels = tuple(_label(*pair, digits) for pair in ends)
        if len(set(labels)) == len(labels):
            break
    return labels


def _label(least: float, most: float, digits: int) -> str:
    low, high = (f"{end:.{digits}g}" for end in (least, most))
    return low if low == high else f"{low} to {high}"
