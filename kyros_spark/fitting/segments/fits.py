"""Fit a batch of segments: total their rows, judge which can be fitted, fit, and judge the fits."""

from __future__ import annotations

import numpy as np

from kyros_spark.fitting.irls import HALVINGS
from kyros_spark.fitting.segments.columns import SegmentRows, law_of
from kyros_spark.fitting.segments.judging import judged, levels_apart, refused
from kyros_spark.fitting.segments.kernel_calls import (
    cells_of,
    fit_segments,
    joined,
    means_of,
    sums_of_segments,
)
from kyros_spark.fitting.segments.reasons import FITTED, NO_KEY
from kyros_spark.fitting.segments.task import SegmentFits, SegmentTask
from kyros_spark.kernels import cell_terms, small_fits


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
    held, apart = levels_apart(task, counts, exposure, observed)
    reason = refused(task, counts, claims, exposure, observed, apart, ends)
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
    scaled = errors * np.sqrt(dispersion)[:, None] / columns.unit
    fits = SegmentFits(
        _outcome(reason, status), coefficients, np.nan_to_num(scaled), active, counts,
        exposure, observed, claims,
        outcome[:, 0], _null_deviance(task, cells, begins, constant, rows, numbers, stop, law),
        pearson, dispersion, outcome[:, 2], means_of(rows, np.ascontiguousarray(start), law),
    )  # fmt: skip
    return judged(task, fits, ends, start)


def _outputs(start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    zeros = np.zeros(start.shape)
    return start.copy(), zeros, np.zeros((len(start), 4)), np.zeros(start.shape, np.uint8)


def _outcome(reason: np.ndarray, status: np.ndarray) -> np.ndarray:
    fitted = np.where(status == small_fits.CONVERGED, FITTED, status)
    outcome: np.ndarray = np.where(reason == FITTED, fitted, reason)
    return outcome


def _claims(task: SegmentTask, rows: SegmentRows, observed: np.ndarray) -> np.ndarray:
    if task.claims == "target":
        return observed[:, 0]
    values = (rows.label > 0).astype(float) if task.claims == "rows" else rows.weight
    summed = np.concatenate([[0.0], np.cumsum(values)])
    return summed[rows.begins[1:]] - summed[rows.begins[:-1]]


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
