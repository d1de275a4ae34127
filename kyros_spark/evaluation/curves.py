"""Order a model's rows by prediction, and a pair's by the ratio of the two: Gini, Lorenz, lift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.ordered import (
    RANGE,
    ROWS_A_RANGE,
    VALUE,
    cumulated,
    ginis,
    quantiles,
    range_bounds,
    range_of,
    range_totals,
)
from kyros_spark.evaluation.rows import (
    GROUP,
    STANDS_FOR,
    SUMS,
    WHOLE,
    claims_of,
    expected,
    judged_rows,
    measures,
)
from kyros_spark.evaluation.sample import NO_GROUP
from kyros_spark.evaluation.subjects import EvaluatedModel

LORENZ_POINTS = 10  # points of the Lorenz curve a quantile
CURVE = ("curve", "part", "group")
CURVE_SUMS = (*SUMS, "other_expected")


@dataclass(frozen=True)
class Pair:
    """Two models of the same target: the first is the new price, the second the old one."""

    number: int
    new: EvaluatedModel
    old: EvaluatedModel

    @property
    def ratio(self) -> Column:
        """Return the new prediction over the old one."""
        return F.col(self.new.prediction) / F.col(self.old.prediction)


def curve_groups(
    wide: DataFrame,
    subjects: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
    rows: int,
    rows_a_range: int = ROWS_A_RANGE,
) -> DataFrame:
    """Return a row a curve (a model's number, or a pair's), part, group and distinct value.

    rows: of the batch, to choose in how many ranges it is sorted. Hold the frame: it is read twice.
    """
    values = {one.number: F.col(one.prediction) for one in subjects}
    values |= {pair.number: pair.ratio for pair in pairs}
    bounds = range_bounds(wide, values, rows // rows_a_range)
    told: list[tuple[EvaluatedModel, EvaluatedModel | None, int]]
    told = [(one, None, one.number) for one in subjects]
    told += [(pair.new, pair.old, pair.number) for pair in pairs]
    each = [
        _rows(wide, one, other, n, values[n], bounds.get(n, ()), per_group=other is None)
        for one, other, n in told
    ]
    return cumulated(reduce(DataFrame.unionByName, each), CURVE, CURVE_SUMS)


def curve_points(
    groups: DataFrame, count: int
) -> tuple[dict[tuple[Any, ...], float | None], list[dict[str, Any]]]:
    """Return the Gini of each (curve, part, group), and fine quantiles of each (curve, part).

    ``count`` x LORENZ_POINTS quantiles, which nest in the ``count`` that charts show.
    """
    totals = range_totals(groups, CURVE)
    mine = [row for row in totals if row["group"] == NO_GROUP]
    whole = groups.where(F.col("group") == NO_GROUP)
    points = quantiles(whole, mine, CURVE, CURVE_SUMS, count * LORENZ_POINTS)
    return ginis(totals, CURVE), points


def _rows(
    wide: DataFrame,
    one: EvaluatedModel,
    other: EvaluatedModel | None,
    number: int,
    value: Column,
    bounds: Sequence[float],
    per_group: bool,
) -> DataFrame:
    weight = F.col(STANDS_FOR)
    groups = [F.lit(NO_GROUP), F.col(GROUP)] if per_group else [F.lit(NO_GROUP)]
    second = F.lit(None).cast("double") if other is None else expected(other)
    rows = judged_rows(wide, one).select(
        F.lit(number).alias("curve"),
        F.array("split", F.lit(WHOLE)).alias("parts"),
        F.array_distinct(F.array(*groups)).alias("groups"),
        range_of(value, bounds),
        value.alias(VALUE),
        STANDS_FOR,
        *measures(one, claims_of(wide)),
        second.alias("other_expected"),
    )
    sums = [(F.col(name) * weight).alias(name) for name in CURVE_SUMS]
    rows = rows.withColumn("part", F.explode("parts")).withColumn("group", F.explode("groups"))
    return rows.select(*CURVE, RANGE, VALUE, *sums)
