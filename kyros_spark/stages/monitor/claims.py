"""Judge the models of a batch by its claims, where they are known: A/E, Gini, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kyros_spark.config import MonitorSettings
from kyros_spark.digest import digest
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.rows import row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.monitoring.baseline import FORMAT
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.claims import TEST, ByPart, ClaimPlan
from kyros_spark.monitoring.comparison import Comparison
from kyros_spark.monitoring.profile import Subject
from kyros_spark.monitoring.rules import BASELINE, DriftRow
from kyros_spark.monitoring.targets import (
    ModelSums,
    calibration,
    gini,
    gini_change,
    ratio_p_value,
)
from kyros_spark.runs.run import Run
from kyros_spark.stages.evaluate.judged_input import BatchReader
from kyros_spark.stages.evaluate.stored_predictions import Selection, StoredPredictions
from kyros_spark.stages.monitor.batch import MonitoredBatch
from kyros_spark.stages.monitor.features import MeasuredFeatures
from kyros_spark.stages.monitor.kept import kept
from kyros_spark.stages.monitor.models import MeasuredModel

_EXACT = ("poisson",)
_OF_ORDER = ("gini", "gini_change", "calibration_error")


@dataclass(frozen=True)
class _Judging:
    """What all rows of a batch's claims share."""

    of: MonitoredBatch
    plan: ClaimPlan
    now: ByPart
    before: ByPart
    interval: ConfidenceInterval


def compare_claims(
    of: MonitoredBatch,
    settings: MonitorSettings,
    run: Run,
    features: MeasuredFeatures,
    models: Sequence[MeasuredModel],
) -> Iterator[DriftRow]:
    """Yield each model whose target the batch knows, by its claims; by segment, too.

    A batch that models are trained on is left out: they know its claims.
    """
    known_targets = {name for name, exposure in features.targets.items() if exposure > 0}
    if of.is_baseline or not models or not known_targets:
        return
    segments = dict(features.baseline.plan.segments) if features.baseline is not None else {}
    measured = {model.name: model for model in models}
    plan, selection = _plan(of, of.batch, measured, known_targets, segments)
    if not plan.models:
        return
    with run.phase("claims"):
        now = _summed(of, of.batch, plan, selection)
        before = _baseline(of, measured, known_targets, segments)
        interval = ConfidenceInterval(of.portfolio.config.evaluate.confidence)
        judging = _Judging(of, plan, now, before, interval)
        for model in plan.models:
            yield from _rows(judging, model, bool(measured[model.name].no_baseline))


def _plan(
    of: MonitoredBatch,
    batch: str,
    measured: Mapping[str, MeasuredModel],
    known_targets: set[str],
    segments: Mapping[str, tuple[str, ...]],
) -> tuple[ClaimPlan, Selection]:
    """Return the models of a batch that its claims can judge, and their stored predictions."""
    stored = StoredPredictions(of.portfolio, batch)
    added = [stored.add(name) for name in measured if name in stored.references()]
    # Without training batches, nobody looks for the bins that evaluate compares with.
    models = tuple(
        replace(model, trained_on=(), labelled=True)
        for model in added
        if model.settings is not None
        and {model.settings.target} - known_targets <= {"claim_amount_with_excess"}
        and model.version == measured[model.name].version
    )
    bins = {
        model.number: measured[model.name].bins or ColumnBins("prediction", is_number=True)
        for model in models
    }
    plan = ClaimPlan(models, bins, segments, with_test=batch in of.baseline)
    return plan, Selection(stored, list(models), [])


def _summed(
    of: MonitoredBatch, batch: str, plan: ClaimPlan, selection: Selection
) -> dict[str, dict[str, dict[str, float]]]:
    settings = of.portfolio.config.evaluate.model_copy(update={"tier": "full"})
    reader = BatchReader(of.portfolio, settings, selection, batch, tuple(plan.segments))
    columns = list(dict.fromkeys([*row_columns(plan.models), "split", *plan.segments]))
    with reader.judged() as judged:
        return judged.rows.aggregate_exactly(columns, plan.state).by_part()


def _baseline(
    of: MonitoredBatch,
    measured: Mapping[str, MeasuredModel],
    known_targets: set[str],
    segments: Mapping[str, tuple[str, ...]],
) -> ByPart:
    """Return the sums over the batch that models are trained on: kept, or measured once."""
    names = [name for name, model in measured.items() if not model.no_baseline]
    if len(of.baseline) != 1 or not names:
        return {}
    batch = next(iter(of.baseline))
    with_baseline = {name: measured[name] for name in names}
    identity = {name: value for name, value in of.identity().items() if batch in name}
    cuts = {name: model.bins.to_json() for name, model in with_baseline.items() if model.bins}
    versions = {name: model.version for name, model in with_baseline.items()}
    key = digest([FORMAT, "claims", identity, cuts, versions, segments, sorted(known_targets)])

    def compute() -> ByPart:
        plan, selection = _plan(of, batch, with_baseline, known_targets, segments)
        return _summed(of, batch, plan, selection) if plan.models else {}

    def read(document: Mapping[str, Any]) -> ByPart:
        sums: ByPart = document["sums"]
        return sums

    return kept(of.portfolio, key, read, compute, lambda sums: {"sums": sums})


def _rows(judging: _Judging, model: EvaluatedModel, no_baseline: bool) -> Iterator[DriftRow]:
    plan = judging.plan
    whole = plan.sums(judging.now, model)
    if whole is None:
        return
    before = plan.sums(judging.before, model)
    result = _level(judging, model, whole, before)
    _order(result, whole, plan.sums(judging.before, model, TEST), no_baseline)
    yield DriftRow(_subject(model), BASELINE, judging.of.baseline_label, result)
    for segment in plan.segments:
        baseline = dict(plan.sliced(judging.before, model, segment))
        for level, sums in plan.sliced(judging.now, model, segment):
            result = _level(judging, model, sums, baseline.get(level))
            result.absent |= dict.fromkeys(_OF_ORDER, "not measured within a segment")
            subject = _subject(model, segment, level)
            yield DriftRow(subject, BASELINE, judging.of.baseline_label, result)


def _subject(model: EvaluatedModel, segment: str = "", level: str = "") -> Subject:
    return Subject(model.judged.target, segment, level, model.name, model.version)


def _level(
    judging: _Judging, model: EvaluatedModel, sums: ModelSums, before: ModelSums | None
) -> Comparison:
    """Return A/E with its interval, and the balance."""
    result = Comparison()
    observed, expected = float(sums.observed.sum()), float(sums.expected.sum())
    ratio, p_value = sums.actual_expected, ratio_p_value(sums, before)
    if ratio is None or p_value is None:
        names = ("actual_expected", "lower", "upper", "balance")
        result.absent |= dict.fromkeys(names, "nothing is expected")
        return result
    result.put("actual_expected", ratio)
    result.p_values["actual_expected"] = p_value
    if model.is_probability:
        ends = judging.interval.share_ratio(observed, expected, float(sums.units.sum()))
    else:
        is_count = model.judged.family in _EXACT
        ends = judging.interval.ratio(observed, expected, float(sums.variance.sum()), is_count)
    for name, end in zip(("lower", "upper"), ends, strict=True):
        result.put(name, end)
    if sums.balance is None:
        result.absent["balance"] = "nothing was observed"
    else:
        result.put("balance", sums.balance)
    return result


def _order(result: Comparison, sums: ModelSums, test: ModelSums | None, no_baseline: bool) -> None:
    """Put what rests on the order of the predictions: Gini, its change, and calibration."""
    if no_baseline:
        reason = "the baseline has no predictions of this version, which order by"
        result.absent |= dict.fromkeys(_OF_ORDER, reason)
        return
    value, right = gini(sums), calibration(sums)
    change = gini_change(sums, test) if test is not None else None
    if value is None:
        result.absent["gini"] = "nothing was observed"
    else:
        result.put("gini", value[0])
    if change is None:
        result.absent["gini_change"] = "no claims in the baseline's test part"
    else:
        result.put("gini_change", change[0])
        result.p_values["gini"] = change[1]
    if right is None:
        result.absent["calibration_error"] = "nothing was observed"
    else:
        result.put("calibration_error", right[0])
        result.p_values["calibration"] = right[1]
