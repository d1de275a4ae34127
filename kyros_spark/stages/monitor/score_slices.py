"""Measure each model's predictions within the levels of the segments, and compare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from kyros_spark.config import MonitorSettings
from kyros_spark.digest import digest
from kyros_spark.errors import BatchMissingError
from kyros_spark.monitoring.baseline import FORMAT
from kyros_spark.monitoring.comparison import MEASURES, Comparison, compared
from kyros_spark.monitoring.histogram import histogram_from_json
from kyros_spark.monitoring.profile import FeaturePlan, Profile, Subject
from kyros_spark.monitoring.rules import BASELINE, DriftRow
from kyros_spark.monitoring.scores import PREDICTION
from kyros_spark.monitoring.sums import Histograms
from kyros_spark.runs.run import Run
from kyros_spark.stages.evaluate.judged_input import BatchReader
from kyros_spark.stages.evaluate.stored_predictions import Selection, StoredPredictions
from kyros_spark.stages.monitor.batch import MonitoredBatch
from kyros_spark.stages.monitor.features import MeasuredFeatures
from kyros_spark.stages.monitor.kept import kept
from kyros_spark.stages.monitor.models import MeasuredModel
from kyros_spark.stages.monitor.previous import PreviousBatch, profile_row

_NO_BASELINE = "the baseline's predictions are of policies that were prepared again since"


@dataclass(frozen=True)
class ScoreSlices:
    """Each model's predictions of a batch within each level, over the coarse bins of the baseline.

    before: the same of the baseline; None where it cannot be measured.
    """

    models: Mapping[str, MeasuredModel]
    now: Profile
    before: Profile | None

    def rows(self, of: MonitoredBatch, previous: PreviousBatch) -> Iterator[DriftRow]:
        """Yield each level's predictions against the baseline's and the batch before's."""
        for subject, histogram in self.now.items():
            bins = self.models[subject.model].coarse_bins
            if not of.is_baseline:
                if self.before is None:
                    result = Comparison(absent=dict.fromkeys(MEASURES, _NO_BASELINE))
                else:
                    result = compared(bins, histogram, self.before.get(subject))
                yield DriftRow(subject, BASELINE, of.baseline_label, result)
            yield from previous.row(subject, bins, histogram)

    def profiles(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of table profile_metrics, without batch and run."""
        for subject, histogram in self.now.items():
            yield profile_row(subject, self.models[subject.model].coarse_bins, histogram)


def measure_slices(
    of: MonitoredBatch,
    settings: MonitorSettings,
    run: Run,
    features: MeasuredFeatures,
    models: Sequence[MeasuredModel],
) -> ScoreSlices:
    """Return the predictions within the segments' levels; nothing where there are no segments."""
    measured = {model.name: model for model in models if model.bins is not None}
    plan = features.baseline.plan if features.baseline is not None else None
    segments = {} if plan is None else {
        name: levels for name, levels in plan.segments.items() if name not in features.left_out
    }  # fmt: skip
    if not segments or not measured or of.prepared is None:
        return ScoreSlices(measured, {}, {})
    with run.phase("predictions by segment"):
        now = _profile(of, [of.batch], measured, segments)
        if of.is_baseline:
            return ScoreSlices(measured, now, {})
        try:
            return ScoreSlices(measured, now, _baseline(of, settings, measured, segments))
        except BatchMissingError:
            return ScoreSlices(measured, now, None)


def _baseline(
    of: MonitoredBatch,
    settings: MonitorSettings,
    models: Mapping[str, MeasuredModel],
    segments: Mapping[str, tuple[str, ...]],
) -> Profile:
    """Return the slices of the baseline: kept, or measured once."""
    own = {of.batch, "prepared", "predictions"}
    identity = {name: value for name, value in of.identity().items() if name not in own}
    described = {n: [m.version, m.coarse_bins.to_json()] for n, m in models.items()}
    key = digest([FORMAT, "score slices", identity, described, segments, settings.max_levels])
    return kept(of.portfolio, key, _from_json,
                lambda: _profile(of, list(of.baseline), models, segments), _to_json)  # fmt: skip


def _profile(
    of: MonitoredBatch,
    batches: Sequence[str],
    models: Mapping[str, MeasuredModel],
    segments: Mapping[str, tuple[str, ...]],
) -> Profile:
    """Return the slices of batches, added up.

    Raises:
        BatchMissingError: a batch's predictions are of policies that were prepared again since.
    """
    total: tuple[FeaturePlan, Histograms, dict[str, MeasuredModel]] | None = None
    settings = of.portfolio.config.evaluate.model_copy(update={"tier": "full"})
    for batch in batches:
        stored = StoredPredictions(of.portfolio, batch)
        by_column = {stored.add(name).prediction: model for name, model in models.items()}
        bins = {column: replace(m.coarse_bins, name=column) for column, m in by_column.items()}
        plan = FeaturePlan(bins, segments, max(len(b.names) for b in bins.values()))
        reader = BatchReader(of.portfolio, settings, Selection(stored, [], []), batch,
                             tuple(segments))  # fmt: skip
        with reader.judged() as judged:
            sums = judged.rows.aggregate(plan.columns, plan.state)
        if total is not None:
            sums.merge(total[1].to_bytes())
        total = plan, sums, by_column
    if total is None:
        return {}
    plan, sums, by_column = total
    return {
        _subject(by_column[subject.column], subject): histogram
        for subject, histogram in plan.profile(sums).items()
        if subject.slice_key and subject.column in by_column
    }


def _subject(model: MeasuredModel, subject: Subject) -> Subject:
    return Subject(PREDICTION, subject.slice_key, subject.slice_value, model.name, model.version)


def _to_json(profile: Profile) -> dict[str, Any]:
    return {
        "slices": [
            [astuple(subject), None if histogram is None else histogram.to_json()]
            for subject, histogram in profile.items()
        ]
    }


def _from_json(document: Mapping[str, Any]) -> Profile:
    return {
        Subject(*subject): None if histogram is None else histogram_from_json(histogram)
        for subject, histogram in document["slices"]
    }
