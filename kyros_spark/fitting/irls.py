"""Solve a GLM by Fisher scoring: iteratively reweighted least squares, with steps halved if needed.

Without a penalty the solution maximises the likelihood. With a penalty it minimises
    sum of w d(y, mu) / (2 sum of w) + alpha (l1_ratio |b|_1 + (1 - l1_ratio) |b|_2^2 / 2),
where d is the unit deviance and b all coefficients except the constant's. glum and scikit-learn
state it in the same way.

In the shapes below p is the number of columns of the design and `active` the number of those that
are solved for. Coefficients are on the scale of the linear predictor, of scaled numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import types

from kyros_spark.errors import FitError
from kyros_spark.fitting.aliased import aliased_columns
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Equations, LevelSums
from kyros_spark.fitting.family import Family
from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.coordinate_descent import coordinate_descent
from kyros_spark.log import event

HALVINGS = 30
REPORT_AFTER = 5.0  # s: an iteration is a pass over the rows, and takes minutes for many rows
INNER_TOLERANCE, INNER_SWEEPS = 1e-11, 100_000


class Rows(Protocol):
    """Rows of a design that can be evaluated, wherever they are held."""

    layout: Layout
    count: int

    def equations(self, family: Family, coefficients: np.ndarray) -> Equations:
        """Return normal equations and sums at these coefficients, float64[p]."""

    def likelihood(self, family: Family, coefficients: np.ndarray, dispersion: float) -> float:
        """Return the log-likelihood at these coefficients, float64[p]."""

    def level_sums(self, family: Family) -> LevelSums:
        """Return the totals of each column's rows."""


@dataclass(frozen=True)
class Penalty:
    """An elastic net, on the scale of the sum of weights."""

    alpha: float = 0.0
    l1_ratio: float = 0.0

    def parts(self, size: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the costs of |b| and b^2 / 2 by column, float64[size] each; the constant's are 0.

        weight: the sum of the rows' weights
        """
        free = np.ones(size)
        free[0] = 0.0
        total = self.alpha * weight * free
        return total * self.l1_ratio, total * (1.0 - self.l1_ratio)


@dataclass(frozen=True)
class Stop:
    """When to stop: at a step shorter than `tol` standard errors, or after `max_iter` steps."""

    max_iter: int = 50
    tol: float = 1e-8


@dataclass(frozen=True)
class Solution:
    """The coefficients of a fit and the equations at them.

    coefficients  float64[p], zero for base levels and dropped columns
    active        the columns solved for, in order
    aliased       the columns dropped, because others determine them or they have no rows
    """

    coefficients: np.ndarray
    equations: Equations
    active: list[int]
    aliased: list[int]
    iterations: int


def solve(
    rows: Rows,
    family: Family,
    weight: float,
    start: np.ndarray,
    penalty: Penalty | None = None,
    stop: Stop | None = None,
    columns: Sequence[int] | None = None,
    at_start: Equations | None = None,
    check: Callable[[np.ndarray, Sequence[int]], None] | None = None,
) -> Solution:
    """Return the solution that is reached from `start`.

    weight    sum of the weights, to which the penalty is relative
    start     float64[p], zero except for the constant
    columns   the columns that may be used (default: all but base levels)
    at_start  the equations at `start` if they are known, which saves a pass over the rows
    check     is given coefficients, float64[p], and active columns where a step fails: it knows why

    Raises:
        FitError: the steps did not become short enough, or no step lowered the cost.
    """
    penalty, stop = penalty or Penalty(), stop or Stop()
    layout, coefficients = rows.layout, start
    equations = at_start or rows.equations(family, coefficients)
    bases = set(layout.bases)
    active = [c for c in (columns or range(len(layout.columns))) if c not in bases]
    dropped = _dropped(equations.gram, active, penalty)
    active = [column for column in active if column not in set(dropped)]
    l1, l2 = (part[active] for part in penalty.parts(len(start), weight))
    for iteration in range(1, stop.max_iter + 1):
        began = time.monotonic()
        step = np.zeros_like(start)
        try:
            step[active] = _step(equations, active, coefficients[active], l1, l2)
            length = _step_length(step, equations, rows.count - len(active), family)
            coefficients, equations = _downhill(
                rows, family, coefficients, step, equations, (active, l1, l2)
            )
        except FitError:
            if check is not None:
                check(coefficients, active)
            raise
        if time.monotonic() - began > REPORT_AFTER:
            event(
                f"iteration {iteration}: a step of {length:.2g} standard errors (to {stop.tol:g})"
            )
        if length <= stop.tol:
            return Solution(coefficients, equations, active, dropped, iteration)
    furthest = np.argsort(-np.abs(step))[:3]
    labels = ", ".join(layout.columns[index].label for index in furthest if step[index])
    raise FitError(
        f"the GLM: expected steps below {stop.tol:g} standard errors within {stop.max_iter} "
        f"iterations, found one of {length:.2g}, the longest at {labels}; look at these "
        "levels, set glm.alpha (a ridge), or raise glm.max_iter"
    )


def _dropped(gram: np.ndarray, active: Sequence[int], penalty: Penalty) -> list[int]:
    """Return the active columns that cannot be solved for. gram: float64[p, p]."""
    active_gram = gram[np.ix_(active, active)]
    if penalty.alpha > 0.0:  # makes the solution unique: only columns without rows are dropped
        return [active[int(n)] for n in np.flatnonzero(active_gram.diagonal() <= 0.0)]
    return [active[n] for n in aliased_columns(active_gram)]


def _step(
    equations: Equations,
    active: list[int],
    coefficients: np.ndarray,
    l1: np.ndarray,
    l2: np.ndarray,
) -> np.ndarray:
    """Return the step of the active columns, float64[active], as are coefficients, l1 and l2."""
    gram = equations.gram[np.ix_(active, active)]
    gradient = equations.gradient[active]
    if not l1.any():
        scale = 1.0 / np.sqrt(gram.diagonal() + l2)
        system = (gram + np.diag(l2)) * scale[:, None] * scale[None, :]
        try:
            right = (gradient - l2 * coefficients) * scale
            solved: np.ndarray = np.linalg.solve(system, right) * scale
        except np.linalg.LinAlgError as error:
            raise FitError(
                "the GLM: the normal equations became singular on the way; look for levels "
                "without claims, or set glm.alpha (a ridge)"
            ) from error
        return solved
    vector, matrix = writable("f8"), writable("f8", 2)
    descend = compiled(
        coordinate_descent,
        matrix, vector, vector, vector, vector, types.float64, types.int64, vector, vector,
    )  # fmt: skip
    step, slope = np.empty_like(gradient), np.empty_like(gradient)
    tolerance = INNER_TOLERANCE
    if descend(gram, gradient, coefficients, l1, l2, tolerance, INNER_SWEEPS, step, slope) < 0:
        raise FitError(
            f"the GLM: expected coordinate descent to end within {INNER_SWEEPS} sweeps, found "
            "that it did not; set a larger glm.alpha, or leave out columns that are nearly alike"
        )
    return step


def _step_length(step: np.ndarray, equations: Equations, free: int, family: Family) -> float:
    """Return a step's length: how far it moves the linear predictors, in standard errors.

    step: float64[p]; free: the residual degrees of freedom
    """
    square = float(step @ equations.gram @ step)
    dispersion = equations.pearson / max(free, 1) if family.has_dispersion else 1.0
    if dispersion <= 0.0:  # every mean equals its label: no step can improve the fit
        return 0.0
    return float(np.sqrt(square / dispersion))


def _downhill(
    rows: Rows,
    family: Family,
    coefficients: np.ndarray,
    step: np.ndarray,
    equations: Equations,
    penalised: tuple[list[int], np.ndarray, np.ndarray],
) -> tuple[np.ndarray, Equations]:
    """Take the step, or the largest of its halvings that does not raise the cost.

    coefficients, step: float64[p]; equations: those at the coefficients
    penalised: the active columns, and the costs of |b| and b^2 / 2 for each of them
    """
    active, l1, l2 = penalised

    def cost(equations: Equations, coefficients: np.ndarray) -> float:
        b = coefficients[active]
        return equations.deviance / 2 + float(l1 @ np.abs(b) + l2 @ (b * b) / 2)

    before = cost(equations, coefficients)
    for halving in range(HALVINGS):
        candidate = coefficients + step / 2**halving
        at_candidate = rows.equations(family, candidate)
        # The tolerance is for rounding: near the solution only the cost's last digits change.
        if cost(at_candidate, candidate) <= before + 1e-12 * abs(before) + 1e-12:
            return candidate, at_candidate
    raise FitError(
        f"the GLM: expected a step that lowers the deviance of {equations.deviance:g}, found none "
        f"in {HALVINGS} halvings; with link identity a mean may have reached zero: use link log"
    )
