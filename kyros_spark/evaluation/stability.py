"""Compare the distribution of a model's predictions with that on its training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.metrics import psi
from kyros_spark.evaluation.ordered import (
    ROWS_PER_RANGE,
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
    """Return one row per model and distinct prediction of its training batch.

    count: about the number of rows in a batch, which decides into how many ranges the predictions
    are cut. Persist the result: it is read twice.
    """
    value, ranges = F.col("prediction"), count // ROWS_PER_RANGE
    frames = [
        rows.select(
            F.lit(model.number).alias("subject"),
            range_of(value, range_bounds(rows, {0: value}, ranges).get(0, ())),
            value.alias(VALUE),
            F.col("exposure").alias("units"),
            F.lit(0.0).alias("observed"),
        )
        for model, rows in reference
    ]
    return cumulated(reduce(DataFrame.unionByName, frames), _CURVE, ("units", "observed"))


def reference_bins(values: DataFrame, count: int) -> list[dict[str, Any]]:
    """Return ``count`` bins of equal exposure of each model's training batch."""
    return quantiles(values, range_totals(values, _CURVE), _CURVE, ("units",), count)


def stability(
    wide: DataFrame, models: Sequence[EvaluatedModel], bins: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, str], float]:
    """Return the PSI of each (model number, part), by exposure, in one pass."""
    bins_of = {model.number: [b for b in bins if b["subject"] == model.number] for model in models}
    sums = []
    for model in models:
        value, most = F.col(model.prediction), [b["most"] for b in bins_of[model.number]]
        for number in range(len(most)):
            inside = value > most[number - 1] if number else F.lit(True)
            if number < len(most) - 1:  # the last bin has no upper end
                inside = inside & (value <= most[number])
            exposure = F.when(inside, F.col("exposure") * F.col(STANDS_FOR)).otherwise(0.0)
            sums.append(F.sum(exposure).alias(f"b{number}_{model.number}"))
    parts = {row["split"]: row.asDict() for row in wide.groupBy("split").agg(*sums).collect()}
    result = {}
    for model in models:
        reference = [b["units"] for b in bins_of[model.number]]
        names = [f"b{n}_{model.number}" for n in range(len(reference))]
        exposures = {part: [row[name] for name in names] for part, row in parts.items()}
        exposures[WHOLE] = [sum(bin_parts) for bin_parts in zip(*exposures.values(), strict=True)]
        for part, current in exposures.items():
            if reference and sum(current):
                result[model.number, part] = psi(_shares(current), _shares(reference))
    return result


def _shares(values: Sequence[float]) -> list[float]:
    return [value / sum(values) for value in values]
