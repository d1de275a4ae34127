"""Order rows by a model's prediction, or by a pair's price ratio: Gini, Lorenz curve, lift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.ordered import (
    RANGE,
    ROWS_PER_RANGE,
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

LORENZ_POINTS = 10  # points of the Lorenz curve per quantile
CURVE = ("curve", "part", "group")
CURVE_SUMS = (*SUMS, "other_expected")


@dataclass(frozen=True)
class Pair:
    """Two models of the same target: the new price and the old one."""

    number: int
    new: EvaluatedModel
    old: EvaluatedModel

    @property
    def ratio(self) -> Column:
        """Return the new prediction over the old one."""
        return F.col(self.new.prediction) / F.col(self.old.prediction)


class Curves(NamedTuple):
    """What is known of curves: a curve is the number of a model, or of a pair.

    ginis   by (curve, part, group); None where there is none
    points  fine quantiles of each (curve, part), in order
    """

    ginis: dict[tuple[Any, ...], float | None]
    points: list[dict[str, Any]]


def curve_groups(
    wide: DataFrame,
    models: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
    rows: int,
    rows_per_range: int = ROWS_PER_RANGE,
) -> DataFrame:
    """Return one row per curve, part, group and distinct value.

    A curve is the number of a model, or of a pair. rows: the size of the batch, which decides into
    how many ranges the values are cut. Persist the result: it is read twice.
    """
    values = {model.number: F.col(model.prediction) for model in models}
    values |= {pair.number: pair.ratio for pair in pairs}
    bounds = range_bounds(wide, values, rows // rows_per_range)
    curves: list[tuple[EvaluatedModel, EvaluatedModel | None, int]]
    curves = [(model, None, model.number) for model in models]
    curves += [(pair.new, pair.old, pair.number) for pair in pairs]
    frames = [
        _rows(wide, model, other, n, values[n], bounds.get(n, ()), per_group=other is None)
        for model, other, n in curves
    ]
    return cumulated(reduce(DataFrame.unionByName, frames), CURVE, CURVE_SUMS)


def curve_points(groups: DataFrame, count: int) -> Curves:
    """Return the Ginis, and ``count`` x LORENZ_POINTS fine quantiles of each curve and part.

    They nest in the ``count`` quantiles that charts show.
    """
    totals = range_totals(groups, CURVE)
    whole_totals = [row for row in totals if row["group"] == NO_GROUP]
    whole = groups.where(F.col("group") == NO_GROUP)
    points = quantiles(whole, whole_totals, CURVE, CURVE_SUMS, count * LORENZ_POINTS)
    return Curves(ginis(totals, CURVE), points)


def _rows(
    wide: DataFrame,
    model: EvaluatedModel,
    other: EvaluatedModel | None,
    number: int,
    value: Column,
    bounds: Sequence[float],
    per_group: bool,
) -> DataFrame:
    """Return the rows that judge the model, once per part and random group they belong to."""
    weight = F.col(STANDS_FOR)
    groups = [F.lit(NO_GROUP), F.col(GROUP)] if per_group else [F.lit(NO_GROUP)]
    other_expected = F.lit(None).cast("double") if other is None else expected(other)
    rows = judged_rows(wide, model).select(
        F.lit(number).alias("curve"),
        F.array("split", F.lit(WHOLE)).alias("parts"),
        F.array_distinct(F.array(*groups)).alias("groups"),
        range_of(value, bounds),
        value.alias(VALUE),
        STANDS_FOR,
        *measures(model, claims_of(wide)),
        other_expected.alias("other_expected"),
    )
    sums = [(F.col(name) * weight).alias(name) for name in CURVE_SUMS]
    rows = rows.withColumn("part", F.explode("parts")).withColumn("group", F.explode("groups"))
    return rows.select(*CURVE, RANGE, VALUE, *sums)
