"""Check the joined rows before any judging: predictions or targets that are missing or invalid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.errors import BatchMissingError, PredictionValueError
from kyros_spark.evaluation.rows import STANDS_FOR, WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.fitting.rows import is_usable


class BatchTotals:
    """Counts and sums of a batch by part and model."""

    def __init__(self, wide: DataFrame, models: Sequence[EvaluatedModel]) -> None:
        """Compute all of them in one pass."""
        totals = [
            column.alias(f"{name}_{model.number}")
            for model in models
            for name, column in _model_totals(model)
        ]
        rows = F.count(F.lit(1)).alias("rows")
        by_part = wide.groupBy("split").agg(rows, F.sum("exposure").alias("exposure"), *totals)
        self.parts = {row["split"]: row.asDict() for row in by_part.collect()}

    def total(self, name: str, model: EvaluatedModel) -> float:
        """Return one of a model's totals, summed over all parts."""
        return math.fsum(row[f"{name}_{model.number}"] or 0 for row in self.parts.values())

    @property
    def rows(self) -> int:
        """Return the number of rows in the batch, or in the sample if one was drawn."""
        return sum(row["rows"] for row in self.parts.values())

    def null_means(self, model: EvaluatedModel) -> dict[tuple[int, str], float]:
        """Return the model's mean target per unit, by part and overall, where there are units."""
        means = {}
        for part, row in self.parts.items():
            units = row[f"units_{model.number}"]
            if units:
                means[model.number, part] = row[f"observed_{model.number}"] / units
        if means:
            overall = self.total("observed", model) / self.total("units", model)
            means[model.number, WHOLE] = overall
        return means

    def labelled(self, model: EvaluatedModel) -> EvaluatedModel:
        """Return the model, marked with whether its target is known in the batch or why not."""
        if model.settings is None:
            return model
        if self.total("known", model):
            return replace(model, labelled=True)
        return replace(model, reason=f"{model.settings.target} is not known in this batch")

    def check(self, batch: str, models: Sequence[EvaluatedModel]) -> None:
        """Refuse predictions and targets for which no metric can be computed.

        Raises:
            BatchMissingError: policies of the batch have no prediction.
            PredictionValueError: a prediction or target is NaN, infinite, or not positive.
        """
        for model in models:
            location = f"predictions, batch {batch}, model {model.reference}"
            if missing := self.total("missing", model):
                raise BatchMissingError(
                    f"{location}: expected a prediction for each of {self.rows} prepared policies, "
                    f"found {missing:.0f} without; run: kyros predict --batch {batch}"
                )
            if bad := self.total("bad", model):
                raise PredictionValueError(
                    f"{location}, prediction: expected positive numbers, found {bad:.0f} rows that "
                    "are NaN, infinite or not above zero; mend the model and predict again"
                )
            if bad := self.total("bad_target", model):
                raise PredictionValueError(
                    f"prepared, batch {batch}, {model.judged.target} or {model.judged.per}: "
                    f"expected numbers to judge {model.reference} by, found {bad:.0f} rows that "
                    "are NaN, infinite or negative; mend prepare.targets or prepare.claims"
                )


def _model_totals(model: EvaluatedModel) -> list[tuple[str, Column]]:
    """Return the aggregates of one model by name; a model without settings has only counts."""
    value = F.col(model.prediction)
    bad = _is_not_finite(value)
    if model.settings is None:
        return [("missing", F.count_if(value.isNull())), ("bad", F.count_if(bad))]
    target, per = F.col(model.settings.target), F.col(model.settings.per)
    bad_target = _is_not_finite(target) | _is_not_finite(per) | (target < 0) | (per < 0)
    weight = F.when(is_usable(model.settings), F.col(STANDS_FOR))
    return [
        ("missing", F.count_if(value.isNull())),
        ("bad", F.count_if(bad | (value <= 0))),
        ("bad_target", F.count_if(bad_target)),
        ("known", F.count(target)),
        ("units", F.sum(weight * per)),
        ("observed", F.sum(weight * target)),
    ]


def _is_not_finite(value: Column) -> Column:
    return F.isnan(value) | (F.abs(value) == math.inf)
