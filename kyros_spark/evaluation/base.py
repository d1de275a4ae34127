"""Check the joined rows before any judging: predictions or targets that are missing or invalid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.errors import BatchMissingError, DataContractError, PredictionValueError
from kyros_spark.evaluation.arrays import Numbers
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.rows import WHOLE, row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.sums_by_group import ROW_COUNT, SumsByGroup
from kyros_spark.fitting.left_out import NO_UNITS, REASONS, UNITS_MISSING, RowAccount

_TOTALS = ("missing", "bad", "bad_target", "known", "units", "observed", "rows", *REASONS)


class PartTotals(SumsByGroup):
    """Counts and sums by part: columns NAME_n of _TOTALS for model number n."""

    def __init__(self, models: Sequence[EvaluatedModel]) -> None:
        """Take the models, before it is known whether they have labels."""
        super().__init__(("part",), [f"{name}_{m.number}" for m in models for name in _TOTALS])
        self._models = models

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        measures, columns = Measures(batch), {}
        for model in self._models:
            for name, column in _model_totals(measures, model).items():
                columns[f"{name}_{model.number}"] = column
        self.add_groups([measures.parts.codes], [measures.parts.texts], columns)


class BatchTotals:
    """Counts and sums of a batch by part and model."""

    def __init__(self, rows: RowSource, models: Sequence[EvaluatedModel]) -> None:
        """Compute all of them in one pass."""
        state = rows.aggregate(row_columns(models), lambda: PartTotals(models))
        self.parts = {row["part"]: row for row in state.result()}

    def total(self, name: str, model: EvaluatedModel) -> float:
        """Return one of a model's totals, summed over all parts."""
        return math.fsum(row[f"{name}_{model.number}"] or 0 for row in self.parts.values())

    @property
    def rows(self) -> int:
        """Return the number of rows in the batch, or in the sample if one was drawn."""
        return sum(row[ROW_COUNT] for row in self.parts.values())

    def accounts(self, model: EvaluatedModel) -> dict[str, RowAccount]:
        """Return the account of a model's rows by part and overall.

        A sample's rows count for those that they stand for. In a batch that does not know the
        target, rows judge without it.
        """
        reasons = REASONS if model.labelled else (NO_UNITS, UNITS_MISSING)
        accounts = {part: self._account(model, [part], reasons) for part in self.parts}
        return accounts | {WHOLE: self._account(model, list(self.parts), reasons)}

    def _account(
        self, model: EvaluatedModel, parts: Sequence[str], reasons: Sequence[str]
    ) -> RowAccount:
        totals = {
            name: math.fsum(self.parts[part][f"{name}_{model.number}"] or 0 for part in parts)
            for name in ("rows", *reasons)
        }
        rows = totals.pop("rows")
        return RowAccount(rows, {reason: count for reason, count in totals.items() if count})

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
            if fault := self.fault(batch, model):
                raise fault

    def fault(self, batch: str, model: EvaluatedModel) -> DataContractError | None:
        """Return why no metric of a model can be computed, or None."""
        location = f"predictions, batch {batch}, model {model.reference}"
        if missing := self.total("missing", model):
            return BatchMissingError(
                f"{location}: expected a prediction for each of {self.rows} prepared policies, "
                f"found {missing:.0f} without; run: kyros predict --batch {batch}"
            )
        if bad := self.total("bad", model):
            return PredictionValueError(
                f"{location}, prediction: expected positive numbers{_at_most('1', model)}, found "
                f"{bad:.0f} rows that are NaN, infinite{_at_most('above 1', model, ',')} or not "
                "above zero; mend the model and predict again"
            )
        if bad := self.total("bad_target", model):
            return PredictionValueError(
                f"prepared, batch {batch}, {model.judged.target} or {model.judged.per}: "
                f"expected numbers to judge {model.reference} by, found {bad:.0f} rows that "
                f"are NaN, infinite{_at_most(f'above {model.judged.per}', model, ',')} or "
                "negative; mend prepare.targets or prepare.claims"
            )
        return None


def _model_totals(measures: Measures, model: EvaluatedModel) -> dict[str, Numbers]:
    """Return the columns of _TOTALS of one model; without settings it has counts alone."""
    rows, value = measures.rows, measures.prediction(model)
    bad = _is_not_finite(value)
    if model.settings is None:
        columns = {name: rows.constant(0.0) for name in _TOTALS}
        return columns | {"missing": rows.indicator(~value.given), "bad": rows.indicator(bad)}
    target, per = (rows.numbers(name) for name in (model.settings.target, model.settings.per))
    bad_target = _is_not_finite(target) | _is_not_finite(per) | (per.given & (per.values < 0))
    if model.settings.family != "gamma":  # which leaves them out, and counts them
        bad_target |= target.given & (target.values < 0)
    outside = value.values <= 0
    if model.is_probability:
        outside |= value.values > 1
        bad_target |= target.given & per.given & (per.values > 0) & (target.values > per.values)
    judging = measures.usable(replace(model, labelled=True))
    return {
        "missing": rows.indicator(~value.given),
        "bad": rows.indicator(bad | (value.given & outside)),
        "bad_target": rows.indicator(bad_target),
        "known": rows.indicator(target.given),
        "units": rows.stands_for.times(per).where(judging),
        "observed": rows.stands_for.times(target).where(judging),
        "rows": rows.stands_for,
        **measures.left_out(model),
    }


def _at_most(limit: str, model: EvaluatedModel, word: str = " up to") -> str:
    """Return what a message says of the upper limit that only a probability has."""
    return f"{word} {limit}" if model.is_probability else ""


def _is_not_finite(column: Numbers) -> np.ndarray:
    return column.given & ~np.isfinite(column.values)
