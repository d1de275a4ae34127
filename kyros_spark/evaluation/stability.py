"""Compare the distribution of a model's predictions with that on its training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.evaluation.arrays import BatchArrays
from kyros_spark.evaluation.measures import Measures
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
from kyros_spark.evaluation.ordered_arrays import OrderedRows
from kyros_spark.evaluation.rows import WHOLE, row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.sums_by_group import SumsByGroup

_CURVE = ("subject",)
Bins = Sequence[Mapping[str, Any]]


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


def local_reference_bins(model: EvaluatedModel, rows: pa.Table, count: int) -> list[dict[str, Any]]:
    """Return the bins of one model's training batch, from predictions in this process."""
    arrays = BatchArrays(rows)
    ties = OrderedRows(arrays.numbers("prediction").values).tie_groups(
        {"units": arrays.numbers("exposure")}, np.arange(arrays.count)
    )
    return [{"subject": model.number, **row} for row in ties.quantiles(count)]


class BinExposures(SumsByGroup):
    """Exposure (``units``) by model, bin of its training batch and part."""

    def __init__(self, models: Sequence[EvaluatedModel], bins: Bins) -> None:
        """Take the models and their bins, from reference_bins."""
        super().__init__(("subject", "bin", "part"), ("units",))
        most = [[row["most"] for row in bins if row["subject"] == m.number] for m in models]
        self._bounds = [(m, np.array(ends)) for m, ends in zip(models, most, strict=True) if ends]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch; the last bin has no upper end."""
        measures = Measures(batch)
        units = measures.rows.numbers("exposure").times(measures.rows.stands_for)
        subject = np.zeros(measures.rows.count, dtype=np.int64)
        for model, most in self._bounds:
            number = np.searchsorted(most[:-1], measures.prediction(model).values, side="left")
            keys = ([model.number], range(most.size), measures.parts.texts)
            self.add_groups([subject, number, measures.parts.codes], keys, {"units": units})


def stability(
    rows: RowSource, models: Sequence[EvaluatedModel], bins: Bins
) -> dict[tuple[int, str], float]:
    """Return the PSI of each (model number, part), by exposure, in one pass."""
    sums = rows.aggregate(row_columns(models), lambda: BinExposures(models, bins)).result()
    result = {}
    for model in models:
        reference = [row["units"] for row in bins if row["subject"] == model.number]
        exposures: dict[str, list[float]] = {}
        for row in sums:
            if row["subject"] == model.number:
                for part in (row["part"], WHOLE):
                    by_bin = exposures.setdefault(part, [0.0] * len(reference))
                    by_bin[row["bin"]] += row["units"] or 0.0
        for part, current in exposures.items():
            if sum(current):
                result[model.number, part] = psi(_shares(current), _shares(reference))
    return result


def _shares(values: Sequence[float]) -> list[float]:
    return [value / sum(values) for value in values]
