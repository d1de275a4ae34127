"""Hold each model's measures on a batch against the bounds of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kyros_spark.config import BoundSettings, Measure, ThresholdSettings
from kyros_spark.evaluation.rows import WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel

_SHOWN = ("actual_expected", "lower", "upper", "balance", "gini", "psi")
_ERRORS = 2  # sampling errors by which a sample's measure has to miss its bound
_ROWS_PER_GROUP = 50  # of PSI: without any shift, ten groups of fewer rows may well give 0.25


@dataclass(frozen=True)
class Breach:
    """A measure of a model on a part of a batch that is beyond one of its bounds.

    value, lower, upper: the measure, with the interval that A/E has.
    bound, limit: `min` or `max`, and its value.
    """

    model: str
    part: str
    measure: Measure
    value: float
    lower: float | None
    upper: float | None
    bound: str
    limit: float

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it."""
        interval = {"lower": self.lower, "upper": self.upper}
        return {
            "model": self.model,
            "part": self.part,
            "measure": self.measure,
            "value": round(self.value, 6),
            **{name: round(end, 6) for name, end in interval.items() if end is not None},
            self.bound: self.limit,
        }

    def sentence(self) -> str:
        """Return it in words."""
        interval = "" if self.upper is None else f" [{self.lower:.4g}, {self.upper:.4g}]"
        side = "at least" if self.bound == "min" else "at most"
        return (
            f"model {self.model}, part {self.part}, {self.measure}: expected {side} "
            f"{self.limit:.6g}, found {self.value:.6g}{interval}"
        )


def judged_rows(
    batch: str, models: Iterable[EvaluatedModel], metrics: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the row of `evaluation_metrics` that each judged model is held to, by NAME@VERSION.

    A model that was trained on the batch is held to its test part, where there is one; any other
    to the whole batch. The parts that it was fitted on would only repeat what it was fitted to.
    """
    rows = {(row["model_name"], row["part"]): row for row in metrics}
    chosen = {}
    for model in models:
        if model.settings is None:
            continue
        test = rows.get((model.name, "test")) if batch in model.trained_on else None
        chosen[model.reference] = test if test and test["rows"] else rows[model.name, WHOLE]
    return chosen


def measures(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measures of a row that are known, as the result line has them."""
    shown = {name: round(row[name], 6) for name in _SHOWN if row[name] is not None}
    return {"part": row["part"], **shown}


def breaches(
    rows: Mapping[str, Mapping[str, Any]], settings: ThresholdSettings, quantiles: int
) -> Iterator[Breach]:
    """Yield the bounds that models break; a measure that is not known breaks none.

    A/E breaks a bound only if its whole interval lies beyond it, and PSI only if each of its
    ``quantiles`` groups has rows enough. A sample's measures have to miss a bound by two of their
    sampling errors.
    """
    for reference, row in rows.items():
        for measure, bound in settings.of(row["model_name"]).items():
            is_chance = measure == "psi" and _rows(row) < _ROWS_PER_GROUP * quantiles
            if row[measure] is not None and not is_chance:
                yield from _breaches(reference, row, measure, bound)


def _rows(row: Mapping[str, Any]) -> float:
    """Return the rows that were evaluated, which are fewer than a sample stands for."""
    return float(row["sampled_rows"] or row["rows"] or 0)


def _breaches(
    reference: str, row: Mapping[str, Any], measure: Measure, bound: BoundSettings
) -> Iterator[Breach]:
    value, lower, upper = row[measure], None, None
    if measure == "actual_expected":
        lower, upper = row["lower"], row["upper"]
    margin = _ERRORS * (row["sampling_error"].get(measure) or 0.0)
    low, high = (value if end is None else end for end in (lower, upper))
    breach = partial(Breach, reference, row["part"], measure, value, lower, upper)
    if bound.min is not None and high + margin < bound.min:
        yield breach("min", bound.min)
    if bound.max is not None and low - margin > bound.max:
        yield breach("max", bound.max)
