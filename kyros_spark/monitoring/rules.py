"""Judge what was measured by the rules of the settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyros_spark.config import EVERY_SEGMENT, DriftRule
from kyros_spark.monitoring.chance import holm
from kyros_spark.monitoring.comparison import Comparison
from kyros_spark.monitoring.profile import Subject

BASELINE, CONSECUTIVE = "BASELINE", "CONSECUTIVE"  # as Databricks' monitoring names them
_DRIFT_TYPES = {"baseline": BASELINE, "previous": CONSECUTIVE}
_SEVERITIES = ("", "warning", "critical")
# The measure behind a rule's metric, and the kind of p-value that tells it from chance.
_MEASURES = {
    "psi": ("population_stability_index", "psi"),
    "js_distance": ("js_distance", "psi"),
    "tv_distance": ("tv_distance", "psi"),
    "ks_distance": ("ks_test", "test"),
    "wasserstein_distance": ("wasserstein_distance", "test"),
    "missing_share": ("percent_null_delta", "missing"),
    "unseen_share": ("unseen_share", "unseen"),
    "outside_share": ("outside_share", "outside"),
    "actual_expected": ("actual_expected", "actual_expected"),
    "gini_drop": ("gini_change", "gini"),
    "calibration": ("calibration_error", "calibration"),
    "interval_width": ("interval_width_ratio", ""),
}


@dataclass(frozen=True)
class DriftRow:
    """One subject compared with the same one before. against: the batches that it is compared with.

    Its p-values are those of the single test until `corrected` has seen all rows.
    """

    subject: Subject
    drift_type: str
    against: str
    comparison: Comparison


@dataclass(frozen=True)
class Alarm:
    """A rule that a subject breaks.

    in_turn  how many batches in turn are beyond the rule's threshold, this one included
    is_due   whether that is as many as the rule asks for
    """

    rule: DriftRule
    row: DriftRow
    value: float
    in_turn: int

    @property
    def is_due(self) -> bool:
        """Return whether enough batches in turn are beyond the threshold."""
        return self.in_turn >= self.rule.batches

    @property
    def key(self) -> str:
        """Return what the same alarm of another batch is known by."""
        subject = self.row.subject
        parts = (self.rule.name, subject.column, subject.slice_value, subject.model)
        return "|".join(parts)

    def sentence(self) -> str:
        """Return it in words."""
        levels = self.row.comparison.new_levels
        new = f"; new levels: {', '.join(levels)}" if levels else ""
        so_far = "" if self.is_due else f" ({self.in_turn} of {self.rule.batches} batches)"
        measure = shown(self.rule, self.row)
        return (
            f"{self.rule.severity}: {self.row.subject.label}: {self.rule.metric} {measure} against "
            f"batch {self.row.against}, expected at most {self.rule.threshold:g}{so_far}{new}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it."""
        subject = self.row.subject
        names = {"column": subject.column, "model": subject.model, "segment": subject.slice_key,
                 "level": subject.slice_value}  # fmt: skip
        return {
            "rule": self.rule.name, "metric": self.rule.metric, "severity": self.rule.severity,
            "action": self.rule.action, **{k: v for k, v in names.items() if v},
            "value": round(self.value, 6), "threshold": self.rule.threshold,
            "against": self.row.against, "new_levels": list(self.row.comparison.new_levels),
        }  # fmt: skip


def shown(rule: DriftRule, row: DriftRow) -> str:
    """Return the measure as a person reads it: A/E with its interval, any other as it is judged."""
    values = row.comparison.values
    if rule.metric == "actual_expected":
        ends = [values.get("lower"), values.get("upper")]
        interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if None not in ends else ""
        return f"{values['actual_expected']:.3f}{interval}"
    return f"{distance(rule, row):.4g}"


def distance(rule: DriftRule, row: DriftRow) -> float | None:
    """Return how far the measure of a rule is from where nothing has changed; None if absent."""
    value = row.comparison.values.get(_MEASURES[rule.metric][0])
    if value is None:
        return None
    if isinstance(value, Mapping):
        return float(value["statistic"])
    if rule.metric == "missing_share":
        return abs(float(value)) / 100
    if rule.metric in ("actual_expected", "interval_width"):
        return abs(float(value) - 1)
    return -float(value) if rule.metric == "gini_drop" else float(value)


def corrected(rows: Sequence[DriftRow]) -> None:
    """Replace the p-values of all rows of a drift type by those corrected for their number (Holm).

    All rows, features and predictions within segments, and claims within segments are a family
    each, so that thousands of slices do not hide what the few rows of another family say. The
    families share the rate of false alarms equally.
    """
    families: dict[tuple[str, str], dict[tuple[int, str], float]] = {}
    for n, row in enumerate(rows):
        for kind, p_value in row.comparison.p_values.items():
            of_claims = "claims" if kind == "actual_expected" else "features"
            family = of_claims if row.subject.slice_key else "whole"
            families.setdefault((row.drift_type, family), {})[n, kind] = p_value
    for (drift_type, _), p_values in families.items():
        sharing = sum(other == drift_type for other, _ in families)
        for (n, kind), p_value in holm(p_values).items():
            rows[n].comparison.p_values[kind] = min(1.0, sharing * p_value)


def alarms(
    rows: Iterable[DriftRow],
    rules: Sequence[DriftRule],
    false_alarm_rate: float,
    before: Mapping[str, int],
) -> Iterator[Alarm]:
    """Yield the rules that rows break: beyond the threshold, and beyond what chance gives.

    rows: with corrected p-values. before: by `Alarm.key`, how many batches in turn were beyond the
    threshold up to the batch before. A measure that is absent breaks no rule.
    """
    for row in rows:
        for rule in rules:
            value = distance(rule, row) if _concerns(rule, row) else None
            if value is None or not math.isfinite(value) or value <= rule.threshold:
                continue
            kind = _MEASURES[rule.metric][1]
            if kind and row.comparison.p_values.get(kind, 1.0) >= false_alarm_rate:
                continue
            alarm = Alarm(rule, row, value, 1)
            yield Alarm(rule, row, value, before.get(alarm.key, 0) + 1)


def worst(severities: Iterable[str]) -> str:
    """Return the worst severity; "" where there is none."""
    return max(severities, key=_SEVERITIES.index, default="")


def unjudged(rules: Sequence[DriftRule], rows: Sequence[DriftRow]) -> list[str]:
    """Return the names of the failing rules of which no row has the measure: they let all pass."""
    return [
        rule.name
        for rule in rules
        if rule.action == "fail"
        and not any(_concerns(rule, row) and distance(rule, row) is not None for row in rows)
    ]


def _concerns(rule: DriftRule, row: DriftRow) -> bool:
    subject = row.subject
    within = subject.slice_key == (rule.segment or "")
    if rule.segment == EVERY_SEGMENT:
        within = subject.slice_key != ""
    return (
        row.drift_type == _DRIFT_TYPES[rule.against]
        and within
        and (not rule.columns or subject.column in rule.columns)
    )


def recorded_sentence(alarm: Mapping[str, Any]) -> str:
    """Return a broken rule in words, from what a run's details say of it."""
    parts = (str(alarm.get(part, "")) for part in ("column", "segment", "level", "model"))
    column, segment, level, model = parts
    label = Subject(column, segment, level, model).label
    measured = f"{alarm['metric']} {alarm['value']:.4g}"
    return f"{label}: {measured} against {alarm['against']} ({alarm['rule']})"
