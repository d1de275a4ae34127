"""Turn a model's sums into rows of the evaluation tables: the shared columns, and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kyros_spark.config import OWN_PARAMETERS
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.metrics import (
    LOSSES,
    METRICS,
    OF_PROBABILITIES,
    column_sums,
    metrics,
    order_metrics,
    ratio,
)
from kyros_spark.evaluation.rows import SUMS, WHOLE
from kyros_spark.evaluation.sample import NO_GROUP, standard_error
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.fitting.left_out import RowAccount
from kyros_spark.fitting.metrics import SCORES

PARTS = ("train", "valid", "test", WHOLE)
_SHOWN = tuple(name for name in SUMS if name not in ("spread", "exposure"))
_SUMMED = (*SUMS, *LOSSES, *SCORES)
_NO_CLAIMS, _ONE_OUTCOME = "no claims in this part", "one outcome only in this part"


@dataclass(frozen=True)
class EvaluationContext:
    """What all rows of an evaluation share: batch, run, tier, parts and confidence interval.

    common  the columns that are the same in every row of every table
    """

    batch: str
    run_id: str
    tier: str
    interval: ConfidenceInterval
    now: Any
    parts: tuple[str, ...]
    common: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Collect the columns that are the same in every row."""
        common = {
            "tier": self.tier,
            "evaluated_at": self.now,
            "batch_id": self.batch,
            "run_id": self.run_id,
        }
        object.__setattr__(self, "common", common)

    def row(self, model: EvaluatedModel, part: str, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that sums fill in every table: sums, A/E with interval, means."""
        observed, expected = sums["observed"], sums["expected"]
        lower = upper = None
        if observed is not None and expected is not None and model.is_probability:
            lower, upper = self.interval.share_ratio(observed, expected, sums["units"])
        elif observed is not None and expected is not None:
            is_count = model.judged.family == "poisson"
            spread = sums["spread"] or 0.0
            lower, upper = self.interval.ratio(observed, expected, spread, is_count)
        return {
            "model_name": model.name,
            "model_version": model.version,
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
    context: EvaluationContext,
    model: EvaluatedModel,
    losses: Sequence[Mapping[str, Any]],
    ginis: Mapping[tuple[Any, ...], float | None],
    psi: Mapping[tuple[int, str], float],
    psi_absent: str,
    unlabelled: Mapping[str, Mapping[str, Any]],
    accounts: Mapping[str, RowAccount] = MappingProxyType({}),
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_metrics` for one model.

    losses: the model's sums by part and random group. ginis: by (curve, part, group).
    psi: by (model number, part). psi_absent: why the model has none, if it has none.
    unlabelled: the model's sums by part, used where it has no losses for lack of labels.
    accounts: the rows that it was given, and those left out, by part.
    """
    for part in context.parts:
        part_losses = [dict(row) for row in losses if part in (row["part"], WHOLE)]
        if part == WHOLE:
            for row in part_losses:
                row["null_deviance"] = row["null_deviance_whole"]
        sums = column_sums(part_losses, (*_SUMMED, "sampled"))
        if not part_losses:
            sums |= unlabelled.get(part, {})
        values: dict[str, Any] = metrics(sums)
        lorenz = ginis.get((model.number, part, NO_GROUP))
        values |= order_metrics(lorenz, sums, model.is_probability)
        values["psi"] = psi.get((model.number, part))
        shared = (
            _empty_row(context, model, part)
            if model.settings is None
            else context.row(model, part, sums)
        )
        errors = _errors(part_losses, ginis, model, part) if context.tier == "fast" else {}
        yield {
            **shared,
            **{name: value for name, value in values.items() if name != "actual_expected"},
            "family": model.settings and model.settings.family,
            "target": model.settings and model.settings.target,
            "per": model.settings and model.settings.per,
            **own_parameters(model),
            "sampled_rows": None if sums["sampled"] is None else int(sums["sampled"]),
            "sampling_error": errors,
            "absent": _absent(model, sums, values, psi_absent),
            "left_out": dict(accounts[part].left_out) if part in accounts else {},
        }


def own_parameters(model: EvaluatedModel) -> dict[str, float | None]:
    """Return the Tweedie power and the theta of the deviance that a model is judged by."""
    family = model.settings and model.settings.family
    return {
        parameter: float(getattr(model.settings, parameter)) if family == of else None
        for of, parameter in OWN_PARAMETERS.items()
    }


def _empty_row(context: EvaluationContext, model: EvaluatedModel, part: str) -> dict[str, Any]:
    """Return the shared columns of a model that cannot be judged: all sums are NULL."""
    return {
        "model_name": model.name,
        "model_version": model.version,
        "part": part,
        **dict.fromkeys((*_SHOWN, "lower", "upper", "actual_expected")),
        **context.common,
    }


def _errors(
    losses: Sequence[Mapping[str, Any]],
    ginis: Mapping[tuple[Any, ...], float | None],
    model: EvaluatedModel,
    part: str,
) -> dict[str, float]:
    """Return the sampling error of each metric, from its values in the random groups."""
    groups = sorted({row["group"] for row in losses})
    by_group = []
    for group in groups:
        sums = column_sums([r for r in losses if r["group"] == group], _SUMMED)
        lorenz = ginis.get((model.number, part, group))
        by_group.append(metrics(sums) | order_metrics(lorenz, sums, model.is_probability))
    values = {name: [row[name] for row in by_group] for name in (*METRICS, "gini", "auc")}
    errors = {name: standard_error(group_values) for name, group_values in values.items()}
    return {name: error for name, error in errors.items() if error is not None}


def _absent(
    model: EvaluatedModel, sums: Mapping[str, Any], values: Mapping[str, Any], psi_absent: str
) -> dict[str, str]:
    """Return, for each metric that is missing, the reason why."""
    reason = model.reason
    if not reason:
        lacking = _ONE_OUTCOME if model.is_probability else _NO_CLAIMS
        reason = "no rows to judge in this part" if not sums["rows"] else lacking
    others = () if model.settings is None or model.is_probability else OF_PROBABILITIES
    missing = {n: reason for n, value in values.items() if value is None and n not in others}
    return missing | ({"psi": psi_absent} if values["psi"] is None else {})
