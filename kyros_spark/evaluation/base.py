"""Look at the joined rows once before anything is judged: what is missing, unknown or no number."""

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

    def __init__(self, wide: DataFrame, subjects: Sequence[EvaluatedModel]) -> None:
        """Compute them, in one pass."""
        asked = [c.alias(f"{what}_{one.number}") for one in subjects for what, c in _asked(one)]
        rows = F.count(F.lit(1)).alias("rows")
        found = wide.groupBy("split").agg(rows, F.sum("exposure").alias("exposure"), *asked)
        self.parts = {row["split"]: row.asDict() for row in found.collect()}

    def total(self, what: str, one: EvaluatedModel) -> float:
        """Return a model's sum over all parts."""
        return math.fsum(row[f"{what}_{one.number}"] or 0 for row in self.parts.values())

    @property
    def rows(self) -> int:
        """Return the rows of the batch (of a sample: of the sample)."""
        return sum(row["rows"] for row in self.parts.values())

    def null_means(self, one: EvaluatedModel) -> dict[tuple[int, str], float]:
        """Return the model's mean target a unit, by part and as a whole, where there is one."""
        found = {}
        for part, row in self.parts.items():
            units = row[f"units_{one.number}"]
            if units:
                found[one.number, part] = row[f"observed_{one.number}"] / units
        if found:
            whole = self.total("observed", one) / self.total("units", one)
            found[one.number, WHOLE] = whole
        return found

    def labelled(self, one: EvaluatedModel) -> EvaluatedModel:
        """Return the model with whether its target is known in the batch, and why it is not."""
        if one.settings is None:
            return one
        if self.total("known", one):
            return replace(one, labelled=True)
        return replace(one, reason=f"{one.settings.target} is not known in this batch")

    def check(self, batch: str, subjects: Sequence[EvaluatedModel]) -> None:
        """Refuse predictions and targets that no metric can be computed of.

        Raises:
            BatchMissingError: policies of the batch have no prediction.
            PredictionValueError: a prediction or target is NaN, infinite, or not positive.
        """
        for one in subjects:
            place = f"predictions, batch {batch}, model {one.reference}"
            if missing := self.total("missing", one):
                raise BatchMissingError(
                    f"{place}: expected a prediction of each of {self.rows} prepared policies, "
                    f"found {missing:.0f} without; run: kyros predict --batch {batch}"
                )
            if bad := self.total("bad", one):
                raise PredictionValueError(
                    f"{place}, prediction: expected positive numbers, found {bad:.0f} rows that "
                    "are NaN, infinite or not above zero; mend the model and predict again"
                )
            if bad := self.total("bad_target", one):
                raise PredictionValueError(
                    f"prepared, batch {batch}, {one.judged.target} or {one.judged.per}: expected "
                    f"numbers to judge {one.reference} by, found {bad:.0f} rows that are NaN, "
                    "infinite or negative; mend prepare.targets or prepare.claims"
                )


def _asked(one: EvaluatedModel) -> list[tuple[str, Column]]:
    value = F.col(one.prediction)
    bad = _no_number(value)
    if one.settings is None:
        return [("missing", F.count_if(value.isNull())), ("bad", F.count_if(bad))]
    target, per = F.col(one.settings.target), F.col(one.settings.per)
    counted = F.when(is_usable(one.settings), F.col(STANDS_FOR))
    return [
        ("missing", F.count_if(value.isNull())),
        ("bad", F.count_if(bad | (value <= 0))),
        ("bad_target", F.count_if(_no_number(target) | _no_number(per) | (target < 0) | (per < 0))),
        ("known", F.count(target)),
        ("units", F.sum(counted * per)),
        ("observed", F.sum(counted * target)),
    ]


def _no_number(value: Column) -> Column:
    return F.isnan(value) | (F.abs(value) == math.inf)
