"""Compare the distribution of a model's predictions with that of its training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.metrics import psi
from kyros_spark.evaluation.ordered import (
    ROWS_A_RANGE,
    VALUE,
    cumulated,
    quantiles,
    range_bounds,
    range_of,
    range_totals,
)
from kyros_spark.evaluation.rows import STANDS_FOR, WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel

_CURVE = ("subject",)


def reference_values(
    reference: Sequence[tuple[EvaluatedModel, DataFrame]], count: int
) -> DataFrame:
    """Return a row a model and distinct prediction of its training batch. Hold it: read twice.

    count: about the rows of a batch, to choose in how many ranges it is sorted.
    """
    value, ranges = F.col("prediction"), count // ROWS_A_RANGE
    each = [
        rows.select(
            F.lit(one.number).alias("subject"),
            range_of(value, range_bounds(rows, {0: value}, ranges).get(0, ())),
            value.alias(VALUE),
            F.col("exposure").alias("units"),
            F.lit(0.0).alias("observed"),
        )
        for one, rows in reference
    ]
    return cumulated(reduce(DataFrame.unionByName, each), _CURVE, ("units", "observed"))


def reference_bins(values: DataFrame, count: int) -> list[dict[str, Any]]:
    """Return the bins of equal exposure of each model's training batch."""
    return quantiles(values, range_totals(values, _CURVE), _CURVE, ("units",), count)


def stability(
    wide: DataFrame, subjects: Sequence[EvaluatedModel], bins: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, str], float]:
    """Return the PSI of each (model, part), by exposure, in one pass."""
    mine = {one.number: [b for b in bins if b["subject"] == one.number] for one in subjects}
    sums = []
    for one in subjects:
        value, most = F.col(one.prediction), [b["most"] for b in mine[one.number]]
        for number in range(len(most)):
            inside = value > most[number - 1] if number else F.lit(True)
            if number < len(most) - 1:  # the last bin has no end
                inside = inside & (value <= most[number])
            weight = F.when(inside, F.col("exposure") * F.col(STANDS_FOR)).otherwise(0.0)
            sums.append(F.sum(weight).alias(f"b{number}_{one.number}"))
    parts = {row["split"]: row.asDict() for row in wide.groupBy("split").agg(*sums).collect()}
    found = {}
    for one in subjects:
        units = [b["units"] for b in mine[one.number]]
        names = [f"b{n}_{one.number}" for n in range(len(units))]
        told = {part: [row[name] for name in names] for part, row in parts.items()}
        told[WHOLE] = [sum(each) for each in zip(*told.values(), strict=True)]
        for part, seen in told.items():
            if units and sum(seen):
                found[one.number, part] = psi(_shares(seen), _shares(units))
    return found


def _shares(values: Sequence[float]) -> list[float]:
    return [value / sum(values) for value in values]
