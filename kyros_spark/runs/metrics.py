"""Say what a run is worth as metrics: names, help texts and labels, the same in every job.

node_exporter drops a metric whose HELP or TYPE differs between two files, without an error, so both
are stated here once. Labels are bounded by the settings: no batch and no key of a policy is one.
Names and units follow Prometheus' conventions; two names without a prefix are those that rules
outside this project watch: `model_prediction_drift_score` and `inference_latency_seconds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kyros_spark.environment import peak_memory
from kyros_spark.errors import GateError
from kyros_spark.runs.run import LastRun, Run

HELP = {
    "kyros_stage_last_run_timestamp_seconds": "When the last run of the stage ended.",
    "kyros_stage_last_success_timestamp_seconds": "When the stage was last done, or was current.",
    "kyros_stage_failed": "Whether the last run of the stage failed (1) or not (0).",
    "kyros_stage_gate_refused": "Whether a threshold, budget or rule refused it (1) or not (0).",
    "kyros_stage_duration_seconds": "Wall time of the last run of the stage.",
    "kyros_stage_cpu_seconds": "CPU time of the last run on the driver's host.",
    "kyros_stage_peak_memory_bytes": "Peak resident memory of the driver and its JVM.",
    "kyros_stage_rows": "Rows of the last run, by kind: in, out, rejected, duplicate.",
    "kyros_stage_rows_per_second": "Rows read per second by the last run that did work.",
    "inference_latency_seconds": "Seconds of predict per 1,000 policies, over its last runs.",
    "model_prediction_drift_score": "PSI of a model's predictions against its training batches.",
    "kyros_feature_drift_score": "PSI of a feature against the training batches.",
    "kyros_actual_expected_ratio": "Observed over expected of a model, where claims are known.",
    "kyros_actual_expected_lower_ratio": "Lower end of the interval of that ratio.",
    "kyros_actual_expected_upper_ratio": "Upper end of the interval of that ratio.",
    "kyros_drift_alarms": "Rules of monitor that the last batch breaks, by severity.",
}
SUMMARIES = frozenset({"inference_latency_seconds"})
LAST_SUCCESS = "kyros_stage_last_success_timestamp_seconds"
QUANTILES = (0.5, 0.99)
LATEST = 100  # runs of predict that its latency is taken over
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """One value of a metric. suffix: _sum or _count of a summary."""

    name: str
    labels: Mapping[str, str]
    value: float
    suffix: str = ""


def samples(run: Run, portfolio: str, predictions: Iterable[LastRun] = ()) -> list[Sample]:
    """Return what is known of a run that has ended; what is no finite number is left out.

    predictions: the last runs of predict on each batch.
    """
    stage = {"portfolio": portfolio, "stage": run.stage}
    made = [*_of_stage(run, stage)]
    if run.stage == "predict":
        made += latency(predictions, portfolio)
    if run.stage == "monitor":
        made += _of_monitor(run.details, portfolio)
    return [sample for sample in made if math.isfinite(sample.value)]


def _of_stage(run: Run, labels: Mapping[str, str]) -> Iterator[Sample]:
    ended, is_failed = run.ended or run.started, run.status == "failed"
    yield Sample("kyros_stage_last_run_timestamp_seconds", labels, ended)
    if not is_failed:
        yield Sample(LAST_SUCCESS, labels, ended)
    yield Sample("kyros_stage_failed", labels, float(is_failed))
    yield Sample("kyros_stage_gate_refused", labels, float(isinstance(run.error, GateError)))
    yield Sample("kyros_stage_duration_seconds", labels, run.seconds)
    yield Sample("kyros_stage_peak_memory_bytes", labels, (peak_memory()[0] or 0) * _MIB)
    rows = {"in": run.rows_in, "out": run.rows_out, "rejected": run.rows_rejected,
            "duplicate": run.rows_duplicate}  # fmt: skip
    for kind, count in rows.items():
        yield Sample("kyros_stage_rows", {**labels, "kind": kind}, float(count))
    measured = {"processor": "kyros_stage_cpu_seconds",
                "rows_per_second": "kyros_stage_rows_per_second"}  # fmt: skip
    for resource, name in measured.items():
        if resource in run.resources:
            yield Sample(name, labels, run.resources[resource])


def latency(predictions: Iterable[LastRun], portfolio: str) -> Iterator[Sample]:
    """Yield the quantiles, the sum and the count of predict's seconds per 1,000 policies."""
    newest = sorted(predictions, key=lambda run: run.ordinal)[-LATEST:]
    seconds = sorted(value for run in newest if (value := seconds_per_thousand(run)) is not None)
    name, labels = "inference_latency_seconds", {"portfolio": portfolio}
    if not seconds:
        return
    for quantile in QUANTILES:
        rank = max(math.ceil(quantile * len(seconds)), 1) - 1
        yield Sample(name, {**labels, "quantile": f"{quantile:g}"}, seconds[rank])
    yield Sample(name, labels, math.fsum(seconds), "_sum")
    yield Sample(name, labels, float(len(seconds)), "_count")


def seconds_per_thousand(run: LastRun) -> float | None:
    """Return what 1,000 policies took in a run of predict; None where it had none."""
    models = len(run.details.get("models", {})) or 1
    return 1000 * run.seconds * models / run.rows_out if run.rows_out else None


def _of_monitor(details: Mapping[str, Any], portfolio: str) -> Iterator[Sample]:
    scores = details.get("drift", {})
    for model, score in scores.get("models", {}).items():
        labels = {"portfolio": portfolio, "model": model}
        yield Sample("model_prediction_drift_score", labels, score)
    for feature, score in scores.get("features", {}).items():
        labels = {"portfolio": portfolio, "feature": feature}
        yield Sample("kyros_feature_drift_score", labels, score)
    for model, values in details.get("actual_expected", {}).items():
        labels = {"portfolio": portfolio, "model": model}
        for end, value in zip(("", "lower_", "upper_"), values, strict=True):
            if value is not None:
                yield Sample(f"kyros_actual_expected_{end}ratio", labels, value)
    severities = [alarm["severity"] for alarm in details.get("alarms", ())]
    for severity in ("warning", "critical"):
        labels = {"portfolio": portfolio, "severity": severity}
        yield Sample("kyros_drift_alarms", labels, float(severities.count(severity)))
