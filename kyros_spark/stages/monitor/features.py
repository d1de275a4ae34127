"""Measure the features of a batch over the bins of its baseline, and compare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from kyros_spark.config import MonitorSettings
from kyros_spark.digest import digest
from kyros_spark.monitoring.baseline import (
    FORMAT,
    FeatureBaseline,
    baseline_from_json,
    frozen_baseline,
)
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.comparison import MEASURES, Comparison, compared
from kyros_spark.monitoring.histogram import Histogram
from kyros_spark.monitoring.profile import FeaturePlan, Profile, Subject
from kyros_spark.monitoring.rules import BASELINE, DriftRow
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.stages.monitor.batch import MonitoredBatch, definitions, written_by
from kyros_spark.stages.monitor.kept import kept
from kyros_spark.stages.monitor.previous import PreviousBatch
from kyros_spark.tables.prepared import targets
from kyros_spark.transforms.definitions import definition_hash


@dataclass
class MeasuredFeatures:
    """The features of a batch: how they lie over the baseline's bins, and why some are left out.

    targets: of each target, how much of the batch's exposure knows it.
    """

    baseline: FeatureBaseline | None = None
    profile: Profile = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)

    def bins_of(self, subject: Subject) -> ColumnBins:
        """Return the bins of a subject, which are coarser within a slice."""
        assert self.baseline is not None  # without one nothing is profiled
        bins = self.baseline.plan.bins[subject.column]
        return bins.coarser if subject.slice_key else bins


def measure(of: MonitoredBatch, settings: MonitorSettings, run: Run) -> MeasuredFeatures:
    """Return the features of a batch over the frozen bins of its baseline."""
    config = of.portfolio.config
    names = settings.features or tuple(config.prepare.features)
    if of.prepared is None:
        reason = "the batch was predicted without table prepared"
        return MeasuredFeatures(left_out=dict.fromkeys(names, reason))
    if of.no_baseline:
        return MeasuredFeatures(left_out=dict.fromkeys(names, of.no_baseline))
    with run.phase("baseline"):
        baseline = feature_baseline(of, settings, names)
    with run.phase("features"):
        own = definitions(of.portfolio, of.batch, of.prepared)
        features = config.prepare.features
        measured = MeasuredFeatures(baseline)
        for name in names:
            if own.get(name) != definition_hash(features[name]):
                measured.left_out[name] = "prepared by another definition than the settings'"
            elif name not in baseline.plan.bins:
                measured.left_out[name] = "the baseline was prepared by another definition"
        profile_batch(of, measured, of.prepared)
    return measured


def profile_batch(of: MonitoredBatch, measured: MeasuredFeatures, prepared: LastRun) -> None:
    """Put the histograms of the batch into what is measured; one pass over its rows."""
    baseline = measured.baseline
    if baseline is None:
        return
    bins = {n: b for n, b in baseline.plan.bins.items() if n not in measured.left_out}
    target_names = [target.name for target in targets(of.portfolio.config.prepare)]
    counted = {name: ColumnBins(name, is_number=True) for name in target_names}
    segments = {n: levels for n, levels in baseline.plan.segments.items() if n in bins}
    # Of targets it is only asked whether they are known.
    plan = FeaturePlan(bins | counted, segments, baseline.plan.most)
    batch = BatchRows(of.portfolio, "prepared", {of.batch: prepared}, prepared.rows_out)
    rows = batch.streamed(plan.columns)
    profile = plan.profile(rows.aggregate(plan.columns, plan.state))
    for subject, histogram in profile.items():
        if subject.column not in target_names:
            measured.profile[subject] = histogram
        elif not subject.slice_key and histogram is not None:
            measured.targets[subject.column] = float(histogram.given.weight.sum())


def feature_baseline(
    of: MonitoredBatch, settings: MonitorSettings, names: tuple[str, ...]
) -> FeatureBaseline:
    """Return the frozen bins and histograms of the baseline: kept, or measured once."""
    portfolio, features = of.portfolio, of.portfolio.config.prepare.features
    runs = {batch: run for batch, run in of.baseline.items() if run is not None}
    identity = {batch: written_by(run, "prepared") for batch, run in runs.items()}
    hashes = {name: definition_hash(features[name]) for name in names}
    sizes = settings.model_dump(include={"bins", "segments", "max_levels", "max_slices"})
    key = digest([FORMAT, identity, hashes, sizes])

    def compute() -> FeatureBaseline:
        measured = [definitions(portfolio, batch, run) for batch, run in runs.items()]
        same = [n for n in names if all(m.get(n) == hashes[n] for m in measured)]
        is_number = {name: features[name].is_number for name in same}
        policies = sum(run.rows_out for run in runs.values())
        rows = BatchRows(portfolio, "prepared", runs, policies).select(["exposure", *same])
        return frozen_baseline(key, rows, is_number, settings)

    read = partial(baseline_from_json, key)
    return kept(portfolio, key, read, compute, FeatureBaseline.to_json)


def compare_features(
    of: MonitoredBatch, measured: MeasuredFeatures, previous: PreviousBatch
) -> Iterator[DriftRow]:
    """Yield each feature against the baseline, and against the batch before."""
    for name, reason in measured.left_out.items():
        absent = Comparison(absent=dict.fromkeys(MEASURES, reason))
        if not of.is_baseline:
            yield DriftRow(Subject(name), BASELINE, of.baseline_label, absent)
    if measured.baseline is None:
        return
    for subject, histogram in measured.profile.items():
        bins = measured.bins_of(subject)
        if not of.is_baseline:
            before = measured.baseline.profile.get(subject, _nothing(histogram))
            result = compared(bins, histogram, before)
            yield DriftRow(subject, BASELINE, of.baseline_label, result)
        yield from previous.row(subject, bins, histogram)


def _nothing(histogram: Histogram | None) -> Histogram | None:
    """Return what a side holds that has no row of a subject."""
    return None if histogram is None else histogram.chosen(histogram.rows < 0)
