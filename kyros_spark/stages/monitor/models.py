"""Measure the predictions of each model of a batch, and compare them with those of its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import MonitorSettings
from kyros_spark.digest import digest
from kyros_spark.monitoring.baseline import FORMAT
from kyros_spark.monitoring.bins import ColumnBins, bins_from_json
from kyros_spark.monitoring.comparison import MEASURES, Comparison, compared
from kyros_spark.monitoring.histogram import histogram_from_json
from kyros_spark.monitoring.profile import Subject
from kyros_spark.monitoring.rules import BASELINE, DriftRow
from kyros_spark.monitoring.scores import PREDICTION, Scores, frozen_scores, scores_of
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.stages.monitor.batch import MonitoredBatch, written_by
from kyros_spark.stages.monitor.kept import kept
from kyros_spark.stages.monitor.previous import PreviousBatch

_WIDTH = "interval_width_ratio"
_SCORES = ("exposure", "prediction", "lower", "upper")


@dataclass(frozen=True)
class MeasuredModel:
    """A model's predictions of a batch and of its baseline, over the baseline's bins.

    no_baseline: why the baseline has none, so that there are no bins.
    """

    name: str
    version: str
    bins: ColumnBins | None = None
    scores: Scores | None = None
    baseline: Scores | None = None
    no_baseline: str = ""

    @property
    def coarse_bins(self) -> ColumnBins:
        """Return the bins that are kept within a slice; call it where there are bins."""
        assert self.bins is not None
        return self.bins.coarser

    @property
    def subject(self) -> Subject:
        """Return what its predictions are known by."""
        return Subject(PREDICTION, model=self.name, version=self.version)


def measure_models(of: MonitoredBatch, settings: MonitorSettings, run: Run) -> list[MeasuredModel]:
    """Return each model that predicted the batch, with its predictions' distribution."""
    if of.predicted is None:
        return []
    with run.phase("predictions"):
        before = {batch: of.portfolio.ledger.last_run("predict", batch) for batch in of.baseline}
        there = {batch: predicted for batch, predicted in before.items() if predicted is not None}
        policies = sum(r.rows_out for r in of.baseline.values() if r is not None)
        own = BatchRows(of.portfolio, "predictions", {of.batch: of.predicted}, of.rows)
        baseline = BatchRows(of.portfolio, "predictions", there, policies)
        models = of.predicted.details.get("models", {}).items()
        measured = []
        for name, version in models:
            reason = of.no_baseline or _why_none(before, name, str(version))
            if reason:
                measured.append(MeasuredModel(name, str(version), no_baseline=reason))
                continue
            identity = {batch: written_by(r, "predictions") for batch, r in there.items()}
            key = digest([FORMAT, "scores", identity, name, version, settings.bins])
            compute = partial(_frozen, baseline, name, settings.bins)
            bins, scores = kept(of.portfolio, key, _from_json, compute, _to_json)
            now = scores
            if not of.is_baseline:
                now = scores_of(own.streamed(_SCORES, model_name=name), bins)
            measured.append(MeasuredModel(name, str(version), bins, now, scores))
        return measured


def _of_model(batches: BatchRows, name: str) -> RowSource:
    return batches.select(_SCORES, model_name=name)


def _frozen(baseline: BatchRows, name: str, count: int) -> tuple[ColumnBins, Scores]:
    return frozen_scores(_of_model(baseline, name), count)


def _why_none(runs: Mapping[str, LastRun | None], name: str, version: str) -> str:
    """Return why the baseline has no predictions by a model's version; "" where it has."""
    for batch, predicted in runs.items():
        again = f"run: kyros predict --batch {batch}"
        if predicted is None:
            return f"baseline batch {batch} is not predicted; {again}"
        theirs = str(predicted.details.get("models", {}).get(name, "none"))
        if theirs != version:
            return (
                f"expected predictions of baseline batch {batch} by version {version}, found "
                f"{theirs}; {again}"
            )
    return ""


def compare_models(
    of: MonitoredBatch, models: list[MeasuredModel], previous: PreviousBatch
) -> Iterator[DriftRow]:
    """Yield each model's predictions against those of the baseline, and of the batch before."""
    for model in models:
        if model.bins is None or model.scores is None or model.baseline is None:
            absent = Comparison(absent=dict.fromkeys((*MEASURES, _WIDTH), model.no_baseline))
            if not of.is_baseline:
                yield DriftRow(model.subject, BASELINE, of.baseline_label, absent)
            continue
        if not of.is_baseline:
            result = compared(model.bins, model.scores.histogram, model.baseline.histogram)
            _compare_widths(result, model.scores, model.baseline)
            yield DriftRow(model.subject, BASELINE, of.baseline_label, result)
        yield from previous.row(model.subject, model.bins, model.scores.histogram)


def _compare_widths(result: Comparison, now: Scores, before: Scores) -> None:
    if now.width is None or before.width is None or before.width <= 0:
        result.absent[_WIDTH] = "the model has no prediction interval"
    else:
        result.put(_WIDTH, now.width / before.width)


def _to_json(frozen: tuple[ColumnBins, Scores]) -> dict[str, Any]:
    bins, scores = frozen
    histogram = scores.histogram.to_json() if scores.histogram is not None else None
    return {"bins": bins.to_json(), "histogram": histogram, "width": scores.width,
            "width_share": scores.width_share}  # fmt: skip


def _from_json(document: Mapping[str, Any]) -> tuple[ColumnBins, Scores]:
    histogram = histogram_from_json(document["histogram"])
    scores = Scores(histogram, document["width"], document["width_share"])
    return bins_from_json(document["bins"]), scores
