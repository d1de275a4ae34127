"""Account for a model's rows before it is fitted: what is left out, and targets that cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, Totals, sums_of
from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.left_out import REASONS, RowAccount
from kyros_spark.fitting.metrics import by_split
from kyros_spark.fitting.rows import left_out_rows
from kyros_spark.scoring.arrow_features import as_doubles

_NEGATIVE, _NO_NUMBER, _SUM = "below zero", "not finite", "sum below zero"
_ABOVE = "above the units"


def account_of(name: str, prepared: RowSource, settings: ModelSettings) -> RowAccount:
    """Return the account of a model's rows, in all parts of the split.

    Raises:
        TrainingDataError: rows have a target that the model's family does not allow.
    """

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        reasons = left_out_rows(batch, settings)
        target, per = (as_doubles(batch.column(n)) for n in (settings.target, settings.per))
        used = ~np.any(list(reasons.values()), axis=0)
        finite = np.isfinite(target) & np.isfinite(per)
        negative = used & finite & (target < 0)
        measures = {reason: rows.astype(float) for reason, rows in reasons.items()}
        measures[_NEGATIVE] = negative.astype(float)
        measures[_NO_NUMBER] = (used & ~finite).astype(float)
        measures[_SUM] = np.where(negative, target, 0.0)
        measures[_ABOVE] = (used & finite & (target > per)).astype(float)
        yield by_split(batch, measures)

    columns = tuple(dict.fromkeys(("split", settings.target, settings.per)))
    names = (*REASONS, _NEGATIVE, _NO_NUMBER, _SUM, _ABOVE)
    parts = next(iter(sums_of(prepared, columns, names, grouping).values()), {})
    _check_targets(name, parts, settings)
    counts = {reason: _total(parts, reason) for reason in REASONS}
    return RowAccount(_total(parts, ROWS), {k: count for k, count in counts.items() if count})


def _check_targets(name: str, parts: dict[str, Totals], settings: ModelSettings) -> None:
    faults = []
    if _total(parts, _NEGATIVE):
        where = _by_part(parts, _NEGATIVE)
        faults.append(f"{settings.target} below zero in {where}: {_total(parts, _SUM):g} together")
    if _total(parts, _NO_NUMBER):
        where = _by_part(parts, _NO_NUMBER)
        faults.append(f"{settings.target} or {settings.per} not finite in {where}")
    if settings.family == "binomial":
        _check_shares(name, parts, settings, faults)
    elif faults:
        raise TrainingDataError(
            f"model {name}: expected in table prepared targets that a {settings.family} model "
            f"has, finite and not below zero, found {'; '.join(faults)}. Reject these rows in "
            "clean, or bound the target in prepare.targets, such as greatest(claim_amount, 0)"
        )


def _check_shares(
    name: str, parts: dict[str, Totals], settings: ModelSettings, faults: list[str]
) -> None:
    target, per = settings.target, settings.per
    if _total(parts, _ABOVE):
        faults.append(f"{target} above {per} in {_by_part(parts, _ABOVE)}")
    if faults:
        raise TrainingDataError(
            f"model {name}: expected in table prepared shares of trials, with {target} from 0 to "
            f"{per}, found {'; '.join(faults)}. A probability is of one trial, and an exposure is "
            "no offset of a logit: of rows that are one trial each, per is a target that is 1 "
            "(prepare.targets: {policies: '1'}); to weigh rows by an exposure, let the target be "
            f"{target} * {per}"
        )


def _by_part(parts: dict[str, Totals], measure: str) -> str:
    counts = {part: totals[measure] for part, totals in parts.items() if totals[measure]}
    listed = ", ".join(f"{part} {count:.0f}" for part, count in counts.items())
    return f"{sum(counts.values()):.0f} rows ({listed})"


def _total(parts: dict[str, Totals], measure: str) -> float:
    return math.fsum(totals[measure] for totals in parts.values())
