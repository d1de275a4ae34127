"""Fit segments level by level of `by`, each from its parent: all rows, then coarser segments."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.irls import Stop
from kyros_spark.fitting.segments.columns import SegmentColumns, SegmentRows, law_of
from kyros_spark.fitting.segments.credibility import (
    between_by_column,
    between_variance,
    credibility,
)
from kyros_spark.fitting.segments.fits import fit_batch
from kyros_spark.fitting.segments.kernel_calls import means_of
from kyros_spark.fitting.segments.reasons import FEW_CLAIMS, FEW_ROWS, NO_KEY
from kyros_spark.fitting.segments.sources import SegmentSource
from kyros_spark.fitting.segments.task import SegmentFits, SegmentTask
from kyros_spark.model.segments import coarser, rows_of_keys

NEWTON_STEPS = {"log": 1, "identity": 1, "logit": 8}  # to a level; only the last is not exact
WIDEST = 1e12  # a ridge that leaves a coefficient where the parent has it


@dataclass(frozen=True)
class Parents:
    """The coefficients that segments begin with: the finest known set for a segment's number.

    keys, rows  int64[n]: numbers of known segments, rising, and their sets
    sets        float64[R, q]; set 0 is the pooled fit's
    """

    strides: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    sets: np.ndarray

    def row_of(self, numbers: np.ndarray, kept: int) -> np.ndarray:
        """Return the set of the parents of segments of the first `kept` keys, int64[S]."""
        parents = coarser(numbers, self.strides, kept - 1)
        return rows_of_keys(parents, self.strides, self.keys, self.rows)

    def of(self, numbers: np.ndarray, kept: int) -> np.ndarray:
        """Return the parents' coefficients, float64[S, q]."""
        return self.sets[self.row_of(numbers, kept)]


@dataclass(frozen=True)
class FittedLevel:
    """The segments of one level of `by`, and their final coefficients.

    numbers   int64[S], rising
    has_own   bool[S]: coefficients differ from the parent's
    weight    float64[S, q]: credibility of each coefficient; the constant's is the level's
    error     float64[S, q]: standard errors, of the shrunk coefficients where they are
    between   float64[q]: variance between the segments, 0 without credibility
    parent_row int64[S]: the set of coefficients of each segment's parent
    own       the fits before any credibility
    """

    numbers: np.ndarray
    fits: SegmentFits
    coefficients: np.ndarray
    has_own: np.ndarray
    weight: np.ndarray
    error: np.ndarray
    between: np.ndarray
    parent_row: np.ndarray
    own: SegmentFits


def task_of(columns: SegmentColumns, family: Family, settings: ModelSettings) -> SegmentTask:
    """Return how segments are fitted at first, before any credibility."""
    glm, shrinks = settings.glm, settings.credibility != "none"
    task = SegmentTask(
        columns, family, Stop(glm.max_iter, glm.tol), settings.min_rows, settings.min_claims,
        holds=shrinks, centred=settings.credibility == "ridge",
        claims={"gamma": "weight", "tweedie": "rows"}.get(settings.family, "target"),  # type: ignore[arg-type]
    )  # fmt: skip
    if not glm.alpha:
        return task
    ridge = np.full(columns.size, glm.alpha)
    ridge[0] = 0.0
    return replace(task, ridge=ridge, by_weight=True, to_parent=shrinks)


def fit_level(
    source: SegmentSource,
    parents: Parents,
    kept: int,
    task: SegmentTask,
    settings: ModelSettings,
    within: float,
) -> FittedLevel:
    """Fit the segments of the first `kept` keys.

    within: the parent's Pearson chi-square per degree of freedom
    """
    numbers, fits = _fits(source, parents, kept, task)
    start = parents.of(numbers, kept)
    if settings.credibility == "ridge" and not settings.glm.alpha:
        deviations = fits.coefficients - start
        between, _ = between_by_column(deviations, fits.errors * task.columns.unit)
        with np.errstate(divide="ignore"):
            ridge = np.minimum(within_of(task, within) / between, WIDEST)
        _, shrunk = _fits(source, parents, kept, replace(task, ridge=ridge, to_parent=True))
        return replace(_as_level(numbers, shrunk, parents, kept, between), own=fits)
    level = _as_level(numbers, fits, parents, kept, np.zeros(task.columns.size))
    if settings.credibility == "buhlmann_straub":
        return _shrunk(source, level, start, kept, task, within)
    return level


def within_of(task: SegmentTask, within: float) -> float:
    """Return the dispersion of the likelihood: 1 where a family has none."""
    return within if task.family.has_dispersion else 1.0


def _fits(
    source: SegmentSource, parents: Parents, kept: int, task: SegmentTask
) -> tuple[np.ndarray, SegmentFits]:
    numbers, *arrays = source.map(kept, partial(_work, parents, kept, task))
    return numbers, SegmentFits(*arrays)


def _work(
    parents: Parents, kept: int, task: SegmentTask, numbers: np.ndarray, rows: SegmentRows
) -> list[np.ndarray]:
    keyed = coarser(numbers, parents.strides, kept - 1) != numbers
    return list(vars(fit_batch(task, rows, parents.of(numbers, kept), keyed)).values())


def _as_level(
    numbers: np.ndarray, fits: SegmentFits, parents: Parents, kept: int, between: np.ndarray
) -> FittedLevel:
    return FittedLevel(
        numbers, fits, fits.coefficients, fits.is_fitted, np.ones_like(fits.errors), fits.errors,
        between, parents.row_of(numbers, kept), fits,
    )  # fmt: skip


def _shrunk(
    source: SegmentSource,
    level: FittedLevel,
    start: np.ndarray,
    kept: int,
    task: SegmentTask,
    within: float,
) -> FittedLevel:
    """Return a level with its relativities, and then its segments' levels, shrunk."""
    fits, family = level.fits, task.family
    errors = fits.errors * task.columns.unit
    errors[:, 0] = 0.0  # the constant is not shrunk by itself, but set so that the level is met
    between, z = between_by_column(fits.coefficients - start, errors)
    coefficients = start + z * (fits.coefficients - start)
    mean, _, variance = fits.expected.T
    counts = ~np.isin(fits.reason, (FEW_ROWS, FEW_CLAIMS, NO_KEY)) & (mean > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        volume = np.where(counts, mean * mean / variance, 0.0)
        ratio = np.where(counts, fits.observed[:, 0] / mean, 1.0)
    weights = volume / within
    spread = between_variance(ratio, weights)
    of_level = credibility(spread, weights)
    wanted = mean * (1.0 + of_level * (ratio - 1.0))
    for _ in range(NEWTON_STEPS[family.link]):
        coefficients[:, 0] += _to_level(source, level, coefficients, wanted, kept, task)
    z[:, 0] = of_level
    between[0] = spread.between
    error = fits.errors * np.sqrt(z)
    if family.link == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            error[:, 0] = np.where(weights > 0, np.sqrt(of_level / weights), 0.0)
    coefficients[~counts] = start[~counts]
    z[~counts] = 0.0
    return replace(
        level,
        coefficients=coefficients,
        has_own=counts,
        weight=z,
        error=np.where(counts[:, None], error, 0.0),
        between=between,
    )


def _to_level(
    source: SegmentSource,
    level: FittedLevel,
    coefficients: np.ndarray,
    wanted: np.ndarray,
    kept: int,
    task: SegmentTask,
) -> np.ndarray:
    """Return by how much each constant has to move for the segment's total to be as wanted."""
    law = law_of(task.family)
    work = partial(_means, level.numbers, coefficients, law)
    _, sums = source.map(kept, work)
    with np.errstate(divide="ignore", invalid="ignore"):
        if task.family.link == "log":
            move = np.log(wanted / sums[:, 0])
        else:
            move = (wanted - sums[:, 0]) / sums[:, 1]
    moved: np.ndarray = np.where(np.isfinite(move), move, 0.0)
    return moved


def _means(
    known: np.ndarray,
    coefficients: np.ndarray,
    law: np.ndarray,
    numbers: np.ndarray,
    rows: SegmentRows,
) -> list[np.ndarray]:
    places = np.searchsorted(known, numbers)
    return [means_of(rows, coefficients[places], law)]


def pearson_within(statistics: dict[str, float]) -> float:
    """Return the parent's Pearson chi-square per degree of freedom; 1 where it is not known."""
    free = statistics.get("df_residual", 0.0)
    within = statistics.get("pearson_chi2", math.nan) / free if free > 0 else math.nan
    return within if math.isfinite(within) and within > 0 else 1.0
