"""Measure each row of a batch: what a model expects of it, what was observed, its deviance.

The definitions that both runners share; rows.py has those that ordered curves need of Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from kyros_spark.config import ModelSettings
from kyros_spark.evaluation.arrays import BatchArrays, Numbers, Texts
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.metrics import LOSSES
from kyros_spark.evaluation.rows import EXACT, GIVEN, SUMS
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.fitting.left_out import NO_UNITS, REASONS, left_out
from kyros_spark.fitting.metrics import SCORES, deviances, scores


class Measures:
    """What models make of the rows of a batch."""

    def __init__(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Take the batch."""
        self.rows = BatchArrays(batch)
        self._shared: dict[tuple[object, ...], Numbers] = {}
        self._usable: dict[tuple[object, ...], np.ndarray] = {}

    @property
    def parts(self) -> Texts:
        """Return each row's part."""
        return self.rows.texts("split")

    def usable(self, model: EvaluatedModel) -> np.ndarray:
        """Tell of each row whether it judges the model: see rows.usable."""
        settings = model.judged
        kind = (settings.target, settings.per, settings.family == "gamma", model.labelled)
        if kind not in self._usable:
            per = self.rows.numbers(settings.per)
            usable = per.given & (per.values > 0)
            if model.labelled:
                target = self.rows.numbers(settings.target)
                usable = usable & target.given
                usable = usable & (target.values > 0) if settings.family == "gamma" else usable
            self._usable[kind] = usable
        return self._usable[kind]

    def left_out(self, model: EvaluatedModel) -> dict[str, Numbers]:
        """Return, for each reason, the rows that a row left out stands for, or else 0.

        Models of the same target share the columns.
        """
        settings, rows = model.judged, self.rows
        kind = (settings.target, settings.per, settings.family == "gamma")
        target, per = rows.numbers(settings.target), rows.numbers(settings.per)
        if (*kind, NO_UNITS) not in self._shared:
            ends = (target.values, target.given, per.values, per.given)
            by_reason = dict.fromkeys(REASONS, np.zeros(rows.count, dtype=bool))
            for reason, of_reason in (by_reason | left_out(settings.family, *ends)).items():
                self._shared[*kind, reason] = rows.indicator(of_reason).times(rows.stands_for)
        return {reason: self._shared[*kind, reason] for reason in REASONS}

    def prediction(self, model: EvaluatedModel) -> Numbers:
        """Return the model's predictions per unit."""
        return self.rows.numbers(model.prediction)

    def observed(self, model: EvaluatedModel) -> Numbers:
        """Return the target, or NULL where the batch does not know it."""
        return self.rows.numbers(model.judged.target) if model.labelled else self.rows.nothing()

    def expected(self, model: EvaluatedModel) -> Numbers:
        """Return what the model expects of a row: prediction x units."""
        return self.prediction(model).times(self.rows.numbers(model.judged.per))

    def price_ratio(self, pair: Pair) -> Numbers:
        """Return the new prediction over the old one."""
        new, old = self.prediction(pair.new), self.prediction(pair.old)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Numbers(new.values / old.values, new.given & old.given)

    def spread(self, model: EvaluatedModel) -> Numbers:
        """Return a row's share of the estimated variance of the summed target: see rows.spread."""
        if model.judged.family in EXACT:
            return self.rows.constant(0.0)
        deviation = self.observed(model)
        if model.judged.family in GIVEN:
            deviation = deviation.minus(self.expected(model))
        return deviation.times(deviation)

    def sums(self, model: EvaluatedModel) -> dict[str, Numbers]:
        """Return SUMS' columns times what a row stands for; NULL in a row that does not judge.

        A column that models of the same target share is the same object for each of them.
        """
        settings, rows = model.judged, self.rows
        kind = (settings.family, settings.target, settings.per, model.labelled)
        has_claims = rows.has("claim_count")
        measured: dict[str, Callable[[], Numbers]] = {
            "rows": lambda: rows.constant(1.0),
            "units": lambda: rows.numbers(settings.per),
            "exposure": lambda: rows.numbers("exposure"),
            "claims": lambda: rows.numbers("claim_count") if has_claims else rows.nothing(),
            "observed": lambda: self.observed(model),
            "expected": lambda: self.expected(model),
            "spread": lambda: self.spread(model),
        }
        own = {"expected", "spread"} if settings.family in GIVEN else {"expected"}
        columns = {}
        for name in SUMS:
            key = (model.number, name) if name in own else (*kind, name)
            if key not in self._shared:
                column = measured[name]().times(rows.stands_for)
                self._shared[key] = column.where(self.usable(model))
            columns[name] = self._shared[key]
        return columns

    def losses(
        self, model: EvaluatedModel, null_means: Mapping[str, float], whole: float
    ) -> dict[str, Numbers]:
        """Return LOSSES' columns times what a row stands for; NULL in a row that does not judge.

        Of a probability, there are those of SCORES too, elsewhere NULL.
        null_means: the mean target per unit by part; whole: that of all parts.
        """
        target, per = self.observed(model), self.rows.numbers(model.judged.per)
        part_means = np.array([null_means.get(part, np.nan) for part in self.parts.texts])
        usable = np.flatnonzero(self.usable(model))
        y, units = target.values[usable], per.values[usable]
        prediction = self.prediction(model).values[usable]
        error = np.abs(y - prediction * units)
        rates = (prediction, part_means[self.parts.codes[usable]], np.full(y.size, whole))
        values = [deviance(y, units, rate, model.judged) for rate in rates]
        weight = self.rows.stands_for
        columns = dict.fromkeys(SCORES, self.rows.nothing())
        losses = dict(zip(LOSSES, (*values, error, error * error), strict=True))
        if model.is_probability:
            of_trials = scores(y / units, prediction)
            losses |= {name: units * of_trials[name] for name in SCORES}
        for name, value in losses.items():
            full = np.zeros(self.rows.count)
            full[usable] = value
            columns[name] = Numbers(full, self.usable(model)).times(weight)
        return columns


def deviance(
    target: np.ndarray, per: np.ndarray, rate: np.ndarray, settings: ModelSettings
) -> np.ndarray:
    """Return the deviance of each row, times its weight, for a rate per unit.

    target, per: float64[n], as in the batch; label, weight and mean are those of fitting.rows, the
    formulas those of fitting.metrics.
    """
    is_count = settings.family in ("poisson", "negative_binomial") and settings.glm.link == "log"
    if is_count:
        return deviances(target, rate * per, settings)
    return per * deviances(target / per, rate, settings)
