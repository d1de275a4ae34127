"""Fit a batch of segments: total their rows, judge which can be fitted, fit, and judge the fits."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from kyros_spark.fitting.family import Family
from kyros_spark.fitting.irls import HALVINGS, Stop
from kyros_spark.fitting.segments.columns import Columns, SegmentRows, law_of
from kyros_spark.fitting.segments.kernel_calls import (
    cells_of,
    fit_segments,
    joined,
    means_of,
    sums_of_segments,
)
from kyros_spark.fitting.segments.reasons import (
    FEW_CLAIMS,
    FEW_ROWS,
    FITTED,
    LEVEL_APART,
    NO_CLAIMS,
    NO_KEY,
    NO_OTHER_OUTCOME,
    NUMBER_APART,
    RUNAWAY,
)
from kyros_spark.fitting.separation import RUNAWAY as LARGEST
from kyros_spark.kernels import cell_terms, small_fits


@dataclass(frozen=True)
class SegmentTask:
    """What is the same for every segment of a fit.

    law          float64[4], of the family; see kernels/small_fits.py
    min_rows, min_claims  below them a segment is not fitted
    ridge        float64[q], by column: the cost of b^2 / 2, times the segment's weight if by_weight
    to_parent    the ridge is 0 at the parent's coefficients, else at 0
    holds        levels without claims keep the parent's coefficient, instead of failing the segment
    centred      the constant's standard error is that of the scaled design
    claims       what min_claims counts: sums of the target, of the weight, or rows with a target
    """

    columns: Columns
    family: Family
    stop: Stop
    min_rows: int = 1
    min_claims: float = 0.0
    ridge: np.ndarray | None = None
    by_weight: bool = False
    to_parent: bool = False
    holds: bool = False
    centred: bool = False
    claims: Literal["target", "weight", "rows"] = "target"


@dataclass(frozen=True)
class SegmentFits:
    """The fits of S segments; columns in the kernels' order, q of them, scaled.

    reason        int64[S]: FITTED, or why not (reasons.py): coefficients are then those of the start
    coefficients, errors  float64[S, q]; an error is 0 where there is none
    active        uint8[S, q]: 1 for the columns solved for
    rows, exposure, observed  float64[S, q], totals of each column's rows
    claims, deviance, null_deviance, pearson, dispersion, iterations  float64[S]
    expected      float64[S, 3] at the start: sums of weight times mean, slope and variance
    """

    reason: np.ndarray
    coefficients: np.ndarray
    errors: np.ndarray
    active: np.ndarray
    rows: np.ndarray
    exposure: np.ndarray
    observed: np.ndarray
    claims: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    pearson: np.ndarray
    dispersion: np.ndarray
    iterations: np.ndarray
    expected: np.ndarray

    @property
    def is_fitted(self) -> np.ndarray:
        """Tell which segments have coefficients of their own, bool[S]."""
        return self.reason == FITTED


def together(parts: list[SegmentFits]) -> SegmentFits:
    """Return the fits of several batches as one, in order."""
    names = [field.name for field in fields(SegmentFits)]
    return SegmentFits(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def fit_batch(
    task: SegmentTask, rows: SegmentRows, start: np.ndarray, keyed: np.ndarray | None = None
) -> SegmentFits:
    """Return the fits of a batch of segments.

    start: float64[S, q], the parents' coefficients. keyed: which groups are segments, bool[S]
    """
    columns, family, law = task.columns, task.family, law_of(task.family)
    totals = sums_of_segments(rows, columns.size)
    counts, exposure, observed, ends = totals
    claims = _claims(task, rows, observed)
    held, apart = _apart(task, counts, exposure, observed)
    reason = _refused(task, counts, claims, exposure, observed, apart, ends)
    if keyed is not None:
        reason[~keyed] = NO_KEY
    status = np.where(reason == FITTED, 0, -1)
    cells, constant = cells_of(rows, law)
    if law[0] != cell_terms.NEGATIVE_BINOMIAL:
        places, dense, cells, begins = joined(rows, cells, columns)
    else:
        places, dense, begins = rows.places, rows.dense, rows.begins
    numbers = np.column_stack([counts[:, 0], constant])
    stop = np.array([task.stop.max_iter, task.stop.tol, HALVINGS], np.float64)
    coefficients, errors, outcome, active = _outputs(start)
    ridge, ridge_scale = _ridge(task, rows)
    target = start if task.to_parent else np.zeros_like(start)
    to_constant = np.eye(1, columns.size)[0] if task.centred else columns.to_constant
    fit_segments(
        places, dense, cells, rows.offset, begins, columns.candidates, held, numbers, law, stop,
        ridge, ridge_scale, np.ascontiguousarray(target), to_constant, outcome, status,
        coefficients, errors, active,
    )  # fmt: skip
    free = counts[:, 0] - active.sum(axis=1)
    pearson = outcome[:, 1]
    dispersion = np.where(free > 0, pearson / np.maximum(free, 1), 1.0)
    if not family.has_dispersion:
        dispersion = np.ones_like(pearson)
    scaled = errors * np.sqrt(dispersion)[:, None] / _scale(columns)
    fits = SegmentFits(
        _outcome(reason, status), coefficients, np.nan_to_num(scaled), active, counts, exposure, observed, claims,
        outcome[:, 0], _null_deviance(task, cells, begins, constant, rows, numbers, stop, law),
        pearson, dispersion, outcome[:, 2], means_of(rows, np.ascontiguousarray(start), law),
    )  # fmt: skip
    return _judged(task, fits, ends, start)


def _outputs(start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    zeros = np.zeros(start.shape)
    return start.copy(), zeros, np.zeros((len(start), 4)), np.zeros(start.shape, np.uint8)


def _outcome(reason: np.ndarray, status: np.ndarray) -> np.ndarray:
    fitted = np.where(status == small_fits.CONVERGED, FITTED, status)
    outcome: np.ndarray = np.where(reason == FITTED, fitted, reason)
    return outcome


def _scale(columns: Columns) -> np.ndarray:
    """Return each column's standard deviation in its own unit, float64[q]; 1 for levels."""
    scale = np.ones(columns.size)
    scale[columns.position[columns.layout.number_place]] = columns.layout.scale
    return scale


def _claims(task: SegmentTask, rows: SegmentRows, observed: np.ndarray) -> np.ndarray:
    if task.claims == "target":
        return observed[:, 0]
    values = (rows.label > 0).astype(float) if task.claims == "rows" else rows.weight
    summed = np.concatenate([[0.0], np.cumsum(values)])
    return summed[rows.begins[1:]] - summed[rows.begins[:-1]]


def _apart(
    task: SegmentTask, counts: np.ndarray, exposure: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which columns are held, uint8[S, q], and which segments have levels apart, bool[S]."""
    width, family = task.columns.width, task.family
    levels = (counts > 0) & (observed <= 0)
    if family.is_binomial:
        levels |= (counts > 0) & (observed >= exposure)
    levels[:, :width] = False
    held = np.zeros(counts.shape, np.uint8)
    if task.ridge is not None:
        return held, np.zeros(len(counts), bool)
    if task.holds:
        held[levels] = 1
        return held, np.zeros(len(counts), bool)
    return held, levels.any(axis=1)


def _refused(
    task: SegmentTask,
    counts: np.ndarray,
    claims: np.ndarray,
    exposure: np.ndarray,
    observed: np.ndarray,
    apart: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    """Return why segments are not fitted, int64[S]: the first of the reasons that hold."""
    family = task.family
    at_one_end = np.zeros(len(counts), bool)
    if task.ridge is None and (family.link == "log" or family.is_binomial):
        at_one_end = _at_one_end(task, ends)
    return np.select(
        [
            counts[:, 0] < max(task.min_rows, 1),
            observed[:, 0] <= 0,
            claims < task.min_claims,
            family.is_binomial & (observed[:, 0] >= exposure[:, 0]),
            apart,
            at_one_end,
        ],
        [FEW_ROWS, NO_CLAIMS, FEW_CLAIMS, NO_OTHER_OUTCOME, LEVEL_APART, NUMBER_APART],
        FITTED,
    )


def _at_one_end(task: SegmentTask, ends: np.ndarray) -> np.ndarray:
    """Tell in which segments a number parts rows with claims from those without, bool[S]."""
    least, most, first, last, first_zero, last_zero = (
        sign * ends[:, n, 1 : 1 + len(task.columns.layout.numbers)]
        for n, sign in enumerate((1, -1, 1, -1, 1, -1))
    )
    if task.family.is_binomial:
        parts = (last_zero <= first) | (last <= first_zero)
    else:
        parts = (last == least) | (first == most)
    return ((least < most) & parts).any(axis=1)


def _ridge(task: SegmentTask, rows: SegmentRows) -> tuple[np.ndarray, np.ndarray]:
    size = task.columns.size
    if task.ridge is None:
        return np.zeros(size), np.ones(rows.count)
    if not task.by_weight:
        return task.ridge, np.ones(rows.count)
    summed = np.concatenate([[0.0], np.cumsum(rows.weight)])
    return task.ridge, summed[rows.begins[1:]] - summed[rows.begins[:-1]]


def _null_deviance(
    task: SegmentTask,
    cells: np.ndarray,
    begins: np.ndarray,
    constant: np.ndarray,
    rows: SegmentRows,
    numbers: np.ndarray,
    stop: np.ndarray,
    law: np.ndarray,
) -> np.ndarray:
    """Return the deviance of each segment's constant alone, float64[S]: a fit of one column."""
    count = rows.count
    totals = np.add.reduceat(np.vstack([cells, np.zeros((1, 3))]), begins[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = totals[:, 1] / totals[:, 0]
        start = np.where(rate > 0, rate, 1.0)
        if task.family.is_binomial:
            start = np.where(start < 1.0, start / (1.0 - start), 1.0)
    is_log = task.family.link == "log" or task.family.is_binomial
    coefficients = (np.log(start) if is_log else start)[:, None].copy()
    status = np.where((numbers[:, 0] > 0) & (totals[:, 1] > 0), 0, -1)
    outcome = np.zeros((count, 4))
    fit_segments(
        np.zeros((len(cells), 0), np.int32), np.ones((len(cells), 1)), cells, rows.offset, begins,
        np.zeros(1, np.int64), np.zeros((count, 1), np.uint8), numbers, law, stop, np.zeros(1),
        np.ones(count), np.zeros((count, 1)), np.ones(1), outcome, status, coefficients,
        np.zeros((count, 1)), np.zeros((count, 1), np.uint8),
    )  # fmt: skip
    return outcome[:, 0]


def _judged(
    task: SegmentTask, fits: SegmentFits, ends: np.ndarray, start: np.ndarray
) -> SegmentFits:
    """Return the fits; those that failed, or that run to infinity, have the parent's coefficients."""
    columns, numbers = task.columns, len(task.columns.layout.numbers)
    reason = fits.reason.copy()
    falls_to_zero = task.family.link == "log" and task.family.power < 2.0
    if task.ridge is None and (falls_to_zero or task.family.is_binomial):
        solved = np.where(fits.active == 1, fits.coefficients, 0.0)
        far = np.abs(solved[:, columns.width :]).max(axis=1, initial=0.0) > LARGEST
        part = slice(1, 1 + numbers)
        span = np.where(fits.rows[:, :1] > 0, -(ends[:, 1, part] + ends[:, 0, part]), 0.0)
        # In standard deviations on both sides, as the coefficients are.
        error = fits.errors[:, part] * _scale(columns)[part]
        is_estimated = (error > 0.0) & (error < np.abs(solved[:, part]))
        steep = (np.abs(solved[:, part]) * span > LARGEST) & ~is_estimated
        runs = far | steep.any(axis=1) | (np.abs(solved[:, part]).max(axis=1, initial=0.0) > 1e6)
        reason[(reason == FITTED) & runs] = RUNAWAY
    back = reason != FITTED
    return replace(
        fits,
        reason=reason,
        coefficients=np.where(back[:, None], start, fits.coefficients),
        errors=np.where(back[:, None], 0.0, fits.errors),
        active=np.where(back[:, None], 0, fits.active).astype(np.uint8),
    )
