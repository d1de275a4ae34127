"""Judge segments before and after their fit, by the rules of fitting/separation.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kyros_spark.fitting.segments.reasons import (
    FEW_CLAIMS,
    FEW_ROWS,
    FITTED,
    LEVEL_APART,
    NO_CLAIMS,
    NO_OTHER_OUTCOME,
    NUMBER_APART,
    RUNAWAY,
)
from kyros_spark.fitting.segments.task import SegmentFits, SegmentTask
from kyros_spark.fitting.separation import RUNAWAY as LARGEST


def levels_apart(
    task: SegmentTask, counts: np.ndarray, exposure: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which columns are held, uint8[S, q], and which segments have levels apart, bool[S]."""
    width, family = task.columns.width, task.family
    levels = np.asarray((counts > 0) & (observed <= 0))
    if family.is_binomial:
        levels |= np.asarray((counts > 0) & (observed >= exposure))
    levels[:, :width] = False
    held: np.ndarray = np.zeros(counts.shape, np.uint8)
    if task.ridge is not None:
        return held, np.zeros(len(counts), bool)
    if task.holds:
        held[levels] = 1
        return held, np.zeros(len(counts), bool)
    return held, np.asarray(levels.any(axis=1))


def refused(
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
        apart = (last_zero <= first) | (last <= first_zero)
    else:
        apart = (last == least) | (first == most)
    return np.asarray(((least < most) & apart).any(axis=1))


def judged(
    task: SegmentTask, fits: SegmentFits, ends: np.ndarray, start: np.ndarray
) -> SegmentFits:
    """Return the fits, with the parents' coefficients where they failed or run to infinity."""
    columns, numbers = task.columns, len(task.columns.layout.numbers)
    reason = fits.reason.copy()
    falls_to_zero = task.family.link == "log" and task.family.power < 2.0
    if task.ridge is None and (falls_to_zero or task.family.is_binomial):
        solved = np.where(fits.active == 1, fits.coefficients, 0.0)
        far = np.abs(solved[:, columns.width :]).max(axis=1, initial=0.0) > LARGEST
        part = slice(1, 1 + numbers)
        span = np.where(fits.rows[:, :1] > 0, -(ends[:, 1, part] + ends[:, 0, part]), 0.0)
        # In standard deviations on both sides, as the coefficients are.
        error = fits.errors[:, part] * task.columns.unit[part]
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
