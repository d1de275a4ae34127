"""Sum what claims say of models: by bin of the prediction, and by level of the segments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, KeyedSums, Totals
from kyros_spark.evaluation.arrays import Numbers
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.rows import GIVEN
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.targets import ModelSums

UNITS, OBSERVED, EXPECTED, VARIANCE = "units", "observed", "expected", "variance"
MEASURED = (UNITS, OBSERVED, EXPECTED, VARIANCE)
TEST = "test"  # the part of a training batch that no model has seen

ByPart = Mapping[str, Mapping[str, Totals]]


@dataclass(frozen=True)
class ClaimPlan:
    """The models whose targets are known, the bins of their predictions, and the segments.

    bins: by model number. segments: the levels of each that are looked at. with_test: whether the
    test part of a training batch is summed by itself, too.
    """

    models: tuple[EvaluatedModel, ...]
    bins: Mapping[int, ColumnBins]
    segments: Mapping[str, tuple[str, ...]]
    with_test: bool = False

    def state(self) -> KeyedSums:
        """Return sums of no rows."""
        return KeyedSums(MEASURED, self._grouped)

    def _grouped(self, batch: pa.RecordBatch) -> Iterator[Grouped]:
        measures = Measures(batch)
        is_test = _is_level(measures, "split", TEST) if self.with_test else None
        slices = {
            segment: _codes(measures, segment, levels) for segment, levels in self.segments.items()
        }
        for model in self.models:
            sums = measures.sums(model)
            values = {
                UNITS: sums["units"], OBSERVED: sums["observed"], EXPECTED: sums["expected"],
                VARIANCE: _variance(measures, model),
            }  # fmt: skip
            judges = np.logical_and.reduce([column.given for column in values.values()])
            arrays = {name: column.values for name, column in values.items()}
            bins = self.bins[model.number]
            predicted = bins.places(measures.prediction(model).values)
            codes = np.where(judges, predicted, -1)
            yield Grouped(_part(model, "", ""), bins.names, codes, arrays)
            if is_test is not None:
                codes = np.where(judges & is_test, predicted, -1)
                yield Grouped(_part(model, TEST, ""), bins.names, codes, arrays)
            for segment, of_rows in slices.items():
                codes = np.where(judges, of_rows, -1)
                part = _part(model, "", segment)
                yield Grouped(part, self.segments[segment], codes, arrays)

    def sums(self, by_part: ByPart, model: EvaluatedModel, part: str = "") -> ModelSums | None:
        """Return a model's sums by bin of its prediction; None where no row judges it."""
        bins = self.bins[model.number]
        by_level = by_part.get(_part(model, part, ""))
        return _sums(by_level, bins.names[:-1]) if by_level else None

    def sliced(
        self, by_part: ByPart, model: EvaluatedModel, segment: str
    ) -> Iterator[tuple[str, ModelSums]]:
        """Yield each level of a segment that has rows, with a model's sums over it."""
        by_level = by_part.get(_part(model, "", segment), {})
        for level in by_level:
            yield level, _sums(by_level, [level])


def _part(model: EvaluatedModel, part: str, segment: str) -> str:
    return json.dumps([model.reference, part, segment])


def _sums(by_level: Mapping[str, Totals], levels: Sequence[str]) -> ModelSums:
    arrays = [
        np.array([by_level[level][name] if level in by_level else 0.0 for level in levels])
        for name in (ROWS, *MEASURED)
    ]
    return ModelSums(*arrays)


def _variance(measures: Measures, model: EvaluatedModel) -> Numbers:
    """Return a row's share of the estimated variance of the summed target.

    The target squared: as many claims as a policy has vary together, so that claims of one policy
    count for less than those of several. Of amounts per claim, the residual squared.
    """
    if model.judged.family in GIVEN:
        return measures.spread(model)
    observed = measures.observed(model)
    return observed.times(observed)


def _is_level(measures: Measures, column: str, level: str) -> np.ndarray:
    texts = measures.rows.texts(column)
    chosen = np.array([*(text == level for text in texts.texts), False])
    return chosen[texts.codes]


def _codes(measures: Measures, column: str, levels: Sequence[str]) -> np.ndarray:
    places = {level: n for n, level in enumerate(levels)}
    texts = measures.rows.texts(column)
    return np.array([*(places.get(text, -1) for text in texts.texts), -1], np.int64)[texts.codes]
