"""Word a model's sums as rows of the evaluation tables: what all rows share, and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.metrics import LOSSES, METRICS, added, metrics, ratio
from kyros_spark.evaluation.rows import SUMS, WHOLE
from kyros_spark.evaluation.sample import standard_error
from kyros_spark.evaluation.subjects import EvaluatedModel

PARTS = ("train", "valid", "test", WHOLE)
_SHOWN = tuple(name for name in SUMS if name not in ("spread", "exposure"))
_NO_CLAIMS = "no claims in this part"


@dataclass(frozen=True)
class EvaluationContext:
    """What the rows of every table say: which batch, run and tier, at which confidence."""

    batch: str
    run_id: str
    tier: str
    interval: ConfidenceInterval
    now: Any
    parts: tuple[str, ...]
    common: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Put together what all rows share."""
        told = {"tier": self.tier, "evaluated_at": self.now, "batch_id": self.batch}
        object.__setattr__(self, "common", {**told, "run_id": self.run_id})

    def row(self, one: EvaluatedModel, part: str, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Return what sums say in any table: the sums, A/E and its interval, the means."""
        observed, expected = sums["observed"], sums["expected"]
        lower = upper = None
        if observed is not None and expected is not None:
            is_count = one.judged.family == "poisson"
            spread = sums["spread"] or 0.0
            lower, upper = self.interval.ratio(observed, expected, spread, is_count)
        return {
            "model_name": one.name,
            "model_version": one.version,
            "part": part,
            **{name: sums[name] for name in _SHOWN},
            "actual_expected": ratio(observed, expected),
            "lower": lower,
            "upper": upper,
            "observed_mean": ratio(observed, sums["units"]),
            "expected_mean": ratio(expected, sums["units"]),
            **self.common,
        }


def metric_rows(
    judging: EvaluationContext,
    one: EvaluatedModel,
    losses: Sequence[Mapping[str, Any]],
    ginis: Mapping[tuple[Any, ...], float | None],
    psi: Mapping[tuple[int, str], float],
    psi_absent: str,
    plain: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_metrics` of a model.

    losses: its sums by part and random group. plain: its sums by part where it has no labels.
    """
    for part in judging.parts:
        mine = [dict(row) for row in losses if part in (row["part"], WHOLE)]
        if part == WHOLE:
            for row in mine:
                row["null_deviance"] = row["null_deviance_whole"]
        sums = added(mine, (*SUMS, *LOSSES, "sampled"))
        if not mine:
            sums |= plain.get(part, {})
        found: dict[str, Any] = metrics(sums)
        found["gini"] = ginis.get((one.number, part, -1))
        found["psi"] = psi.get((one.number, part))
        told = (
            _empty_row(judging, one, part) if one.settings is None else judging.row(one, part, sums)
        )
        errors = _errors(mine, ginis, one, part) if judging.tier == "fast" else {}
        yield {
            **told,
            **{name: value for name, value in found.items() if name != "actual_expected"},
            "family": one.settings and one.settings.family,
            "target": one.settings and one.settings.target,
            "per": one.settings and one.settings.per,
            "sampled_rows": None if sums["sampled"] is None else int(sums["sampled"]),
            "sampling_error": errors,
            "absent": _absent(one, sums, found, psi_absent),
        }


def _empty_row(judging: EvaluationContext, one: EvaluatedModel, part: str) -> dict[str, Any]:
    known = {"model_name": one.name, "model_version": one.version, "part": part}
    return {
        **known,
        **dict.fromkeys((*_SHOWN, "lower", "upper", "actual_expected")),
        **judging.common,
    }


def _errors(
    losses: Sequence[Mapping[str, Any]],
    ginis: Mapping[tuple[Any, ...], float | None],
    one: EvaluatedModel,
    part: str,
) -> dict[str, float]:
    groups = sorted({row["group"] for row in losses})
    each = [
        metrics(added([r for r in losses if r["group"] == group], (*SUMS, *LOSSES)))
        for group in groups
    ]
    values = {name: [row[name] for row in each] for name in METRICS}
    values["gini"] = [ginis.get((one.number, part, group)) for group in groups]
    errors = {name: standard_error(told) for name, told in values.items()}
    return {name: error for name, error in errors.items() if error is not None}


def _absent(
    one: EvaluatedModel, sums: Mapping[str, Any], found: Mapping[str, Any], psi_absent: str
) -> dict[str, str]:
    reason = one.reason
    if not reason:
        reason = "no rows to judge in this part" if not sums["rows"] else _NO_CLAIMS
    missing = {name: reason for name, value in found.items() if value is None}
    return missing | ({"psi": psi_absent} if found["psi"] is None else {})
