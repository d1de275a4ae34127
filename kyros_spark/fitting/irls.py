"""Solve a GLM by Fisher scoring: iteratively reweighted least squares, steps halved where needed.

Without a penalty the maximum of the likelihood. With one, the minimum of
    sum of w d(y, mu) / (2 sum of w) + alpha (l1_ratio |b|_1 + (1 - l1_ratio) |b|_2^2 / 2),
d the unit deviance and b all coefficients but the constant's, as glum and scikit-learn state it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import types

from kyros_spark.errors import FitError
from kyros_spark.fitting.aliased import aliased_columns
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Equations, Family, LevelSums
from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.coordinate_descent import coordinate_descent
from kyros_spark.log import event

HALVINGS = 30
TOLD_AFTER = 5.0  # s: an iteration is a pass over the rows, of many a matter of minutes
INNER_TOLERANCE, INNER_SWEEPS = 1e-11, 100_000


class Rows(Protocol):
    """Rows of a design that can be evaluated, wherever they are."""

    layout: Layout
    count: int

    def equations(self, law: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums."""

    def likelihood(self, law: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood."""

    def level_sums(self, law: Family) -> LevelSums:
        """Return what each column's rows hold."""


@dataclass(frozen=True)
class Penalty:
    """An elastic net, on the scale of the sum of weights."""

    alpha: float = 0.0
    l1_ratio: float = 0.0

    def parts(self, size: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return what |b| and b^2 / 2 cost by column; the constant's cost nothing."""
        free = np.ones(size)
        free[0] = 0.0
        total = self.alpha * weight * free
        return total * self.l1_ratio, total * (1.0 - self.l1_ratio)


@dataclass(frozen=True)
class Stop:
    """When to stop: a step shorter than `tol` standard errors, or after `max_iter` of them."""

    max_iter: int = 50
    tol: float = 1e-8


@dataclass(frozen=True)
class Solution:
    """Coefficients by column of the design (zero where dropped), and the equations there."""

    coefficients: np.ndarray
    equations: Equations
    active: list[int]
    aliased: list[int]
    iterations: int


def solve(
    rows: Rows,
    law: Family,
    weight: float,
    start: np.ndarray,
    penalty: Penalty | None = None,
    stop: Stop | None = None,
    columns: Sequence[int] | None = None,
    known: Equations | None = None,
) -> Solution:
    """Return the solution from `start` on (all columns of the design; zero but the constant's).

    weight: the sum of the weights, to which a penalty is relative
    columns: those that may be used (default: all but base levels)
    known: the equations at `start`, where they are known: they cost a pass over the rows

    Raises:
        FitError: the steps did not become short enough, or no step led downhill.
    """
    penalty, stop = penalty or Penalty(), stop or Stop()
    layout, here = rows.layout, start
    equations = known or rows.equations(law, here)
    bases = set(layout.bases)
    active = [c for c in (columns or range(len(layout.columns))) if c not in bases]
    dropped = _dropped(equations.gram, active, penalty)
    active = [column for column in active if column not in set(dropped)]
    l1, l2 = (part[active] for part in penalty.parts(len(start), weight))
    for iteration in range(1, stop.max_iter + 1):
        began = time.monotonic()
        step = np.zeros_like(start)
        step[active] = _step(equations, active, here[active], l1, l2)
        length = _standard_errors(step, equations, rows.count - len(active), law)
        here, equations = _downhill(rows, law, here, step, equations, (active, l1, l2))
        if time.monotonic() - began > TOLD_AFTER:
            event(
                f"iteration {iteration}: a step of {length:.2g} standard errors (to {stop.tol:g})"
            )
        if length <= stop.tol:
            return Solution(here, equations, active, dropped, iteration)
    furthest = np.argsort(-np.abs(step))[:3]
    named = ", ".join(layout.columns[place].label for place in furthest if step[place])
    raise FitError(
        f"the GLM: expected steps below {stop.tol:g} standard errors within {stop.max_iter} "
        f"iterations, found one of {length:.2g}, the longest at {named}; look at these levels, set "
        "glm.alpha (a ridge), or raise glm.max_iter"
    )


def _dropped(gram: np.ndarray, active: Sequence[int], penalty: Penalty) -> list[int]:
    inside = gram[np.ix_(active, active)]
    if penalty.alpha > 0.0:  # which makes the solution unique; columns without a row say nothing
        return [active[int(n)] for n in np.flatnonzero(inside.diagonal() <= 0.0)]
    return [active[n] for n in aliased_columns(inside)]


def _step(
    equations: Equations, active: list[int], here: np.ndarray, l1: np.ndarray, l2: np.ndarray
) -> np.ndarray:
    gram = equations.gram[np.ix_(active, active)]
    gradient = equations.gradient[active]
    if not l1.any():
        scale = 1.0 / np.sqrt(gram.diagonal() + l2)
        system = (gram + np.diag(l2)) * scale[:, None] * scale[None, :]
        try:
            found: np.ndarray = np.linalg.solve(system, (gradient - l2 * here) * scale) * scale
        except np.linalg.LinAlgError as error:
            raise FitError(
                "the GLM: the normal equations became singular on the way; look for levels "
                "without claims, or set glm.alpha (a ridge)"
            ) from error
        return found
    one, two, real, whole = writable("f8"), writable("f8", 2), types.float64, types.int64
    descend = compiled(coordinate_descent, two, one, one, one, one, real, whole, one, one)
    step, slope = np.empty_like(gradient), np.empty_like(gradient)
    tolerance = INNER_TOLERANCE
    if descend(gram, gradient, here, l1, l2, tolerance, INNER_SWEEPS, step, slope) < 0:
        raise FitError(
            f"the GLM: expected coordinate descent to end within {INNER_SWEEPS} sweeps, found "
            "that it did not; set a larger glm.alpha, or leave out columns that are nearly alike"
        )
    return step


def _standard_errors(step: np.ndarray, equations: Equations, free: int, law: Family) -> float:
    """Return a step's length: what it moves the linear predictors, in standard errors."""
    square = float(step @ equations.gram @ step)
    dispersion = equations.pearson / max(free, 1) if law.has_dispersion else 1.0
    if dispersion <= 0.0:  # every mean is its label: nothing is left to gain
        return 0.0
    return float(np.sqrt(square / dispersion))


def _downhill(
    rows: Rows,
    law: Family,
    here: np.ndarray,
    step: np.ndarray,
    equations: Equations,
    penalised: tuple[list[int], np.ndarray, np.ndarray],
) -> tuple[np.ndarray, Equations]:
    active, l1, l2 = penalised

    def cost(equations: Equations, at: np.ndarray) -> float:
        b = at[active]
        return equations.deviance / 2 + float(l1 @ np.abs(b) + l2 @ (b * b) / 2)

    before = cost(equations, here)
    for halving in range(HALVINGS):
        there = here + step / 2**halving
        found = rows.equations(law, there)
        # Rounding: at the end of the way the cost no longer changes in its last digits.
        if cost(found, there) <= before + 1e-12 * abs(before) + 1e-12:
            return there, found
    raise FitError(
        f"the GLM: expected a step that lowers the deviance of {equations.deviance:g}, found none "
        f"in {HALVINGS} halvings; with link identity a mean may have reached zero: use link log"
    )
