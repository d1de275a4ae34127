"""Turn what was compared into rows of table drift, and say what breaks a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kyros_spark.config import MonitorSettings
from kyros_spark.errors import DriftError
from kyros_spark.log import event
from kyros_spark.monitoring.rules import (
    BASELINE,
    Alarm,
    DriftRow,
    alarms,
    corrected,
    unjudged,
    worst,
)
from kyros_spark.runs.run import Run
from kyros_spark.stages.monitor.previous import subject_columns

_BEYOND = "beyond"
_LEVEL = {"warning": 30, "critical": 40}


def judge(
    run: Run, settings: MonitorSettings, rows: Sequence[DriftRow], before: Mapping[str, Any] | None
) -> list[Alarm]:
    """Return the rules that rows break, and put them into the run's details and the log.

    before: the details of the last run on the batch before.
    """
    corrected(rows)
    in_turn = (before or {}).get(_BEYOND, {})
    broken = list(alarms(rows, settings.rules, settings.false_alarm_rate, in_turn))
    due = _worst_of_each(broken)
    run.details["verdict"] = worst(alarm.rule.severity for alarm in due) or "ok"
    run.details["alarms"] = [alarm.to_json() for alarm in due]
    run.details[_BEYOND] = {alarm.key: alarm.in_turn for alarm in broken}
    for alarm in due:
        event(alarm.sentence(), level=_LEVEL[alarm.rule.severity])
    for name in unjudged(settings.rules, rows):
        event(f"monitor {run.batch}: rule {name} lets the batch pass unjudged: no row of table "
              "drift has its measure", level=30)  # fmt: skip
    return broken


def _worst_of_each(broken: Sequence[Alarm]) -> list[Alarm]:
    """Return the alarms to tell: of several of one measure of a row, the most severe.

    Where a column has moved as a whole, it is not told again for each level of a segment.
    """
    by_measure: dict[tuple[int, str], list[Alarm]] = {}
    for alarm in broken:
        if alarm.is_due:
            by_measure.setdefault((id(alarm.row), alarm.rule.metric), []).append(alarm)
    chosen = []
    whole = {_measure(alarm) for alarm in broken if alarm.is_due and not _is_sliced(alarm)}
    for alarms_of_one in by_measure.values():
        if _is_sliced(alarms_of_one[0]) and _measure(alarms_of_one[0]) in whole:
            continue
        severity = worst(alarm.rule.severity for alarm in alarms_of_one)
        chosen.append(next(a for a in alarms_of_one if a.rule.severity == severity))
    return chosen


def _is_sliced(alarm: Alarm) -> bool:
    return alarm.row.subject.slice_key != ""


def _measure(alarm: Alarm) -> tuple[str, str, str, str]:
    subject = alarm.row.subject
    return subject.column, subject.model, alarm.rule.metric, alarm.row.drift_type


def drift_rows(run: Run, rows: Sequence[DriftRow], broken: Sequence[Alarm]) -> list[dict[str, Any]]:
    """Return the rows of table drift."""
    now = datetime.now(UTC)
    by_row: dict[int, list[Alarm]] = {}
    for alarm in broken:
        by_row.setdefault(id(alarm.row), []).append(alarm)
    return [_row(run, row, by_row.get(id(row), []), now) for row in rows]


def _row(run: Run, row: DriftRow, broken: Sequence[Alarm], now: datetime) -> dict[str, Any]:
    due = [alarm for alarm in broken if alarm.is_due]
    result = row.comparison
    is_known = bool(result.values)
    return {
        "window": run.batch,
        "window_cmp": row.against,
        "drift_type": row.drift_type,
        **subject_columns(row.subject),
        **result.values,
        "new_levels": list(result.new_levels),
        "corrected_pvalue": dict(result.p_values),
        "absent": dict(result.absent),
        "verdict": (worst(a.rule.severity for a in due) or "ok") if is_known else None,
        "broken": [alarm.rule.name for alarm in due],
        "monitored_at": now,
        "batch_id": run.batch,
        "run_id": run.run_id,
    }


def scores(rows: Sequence[DriftRow]) -> dict[str, Any]:
    """Return what the details say of drift and of A/E, for metrics and for `health`."""
    drift: dict[str, dict[str, float]] = {"features": {}, "models": {}}
    ratios: dict[str, list[float | None]] = {}
    for row in rows:
        subject, values = row.subject, row.comparison.values
        if row.drift_type != BASELINE or subject.slice_key:
            continue
        if (index := values.get("population_stability_index")) is not None:
            kind, name = (
                ("models", subject.model) if subject.model else ("features", subject.column)
            )
            drift[kind][name] = round(index, 6)
        if "actual_expected" in values:
            ends = (values.get(name) for name in ("actual_expected", "lower", "upper"))
            ratios[subject.model] = [None if end is None else round(end, 6) for end in ends]
    return {"drift": drift, "actual_expected": ratios}


def refuse(run: Run, broken: Sequence[Alarm]) -> None:
    """Fail where a broken rule asks for it; to be called when all is written.

    Raises:
        DriftError: names each column, measure, threshold and value.
    """
    failing = [alarm for alarm in broken if alarm.is_due and alarm.rule.action == "fail"]
    if failing:
        sentences = "; ".join(alarm.sentence() for alarm in failing)
        raise DriftError(
            f"monitor {run.batch}: {sentences}. Table drift is written (SELECT * FROM drift WHERE "
            f"batch_id = '{run.batch}'); mend the extract, train again, or change monitor.rules"
        )
