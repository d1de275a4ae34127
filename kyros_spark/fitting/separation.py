"""Find coefficients of a GLM that run to infinity, since rows without claims can be told apart.

With a log link the likelihood of such rows rises for as long as their mean falls. The solver then
stops wherever the deviance no longer changes, and what it stopped at is no estimate.
Source: Albert and Anderson, 1984, for separation; Santos Silva and Tenreyro, 2010, for counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kyros_spark.errors import FitError
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Equations, Family, LevelSums
from kyros_spark.fitting.glm_statistics import Coefficient
from kyros_spark.fitting.irls import Solution

# No rate is e^20 times another: a coefficient beyond this is on its way to infinity.
RUNAWAY = 20.0
# Numbers cancel each other if together they move rates by so much less than each alone, and the
# rates of rows so many standard deviations apart are still far from that.
CANCELLED, WIDTH = 0.1, 6.0


def check_claims(sums: LevelSums, layout: Layout, family: Family) -> None:
    """Refuse levels without claims, and numbers whose claims all lie at one end.

    Raises:
        FitError: names them.
    """
    empty = [
        column.label
        for index, column in enumerate(layout.columns)
        if column.level is not None and sums.rows[index] and sums.observed[index] <= 0
    ]
    if empty:
        raise FitError(
            f"the GLM: expected claims in every level, found none in {_listed(empty)}: the "
            "coefficient runs to minus infinity; raise min_level_share or lower max_levels, join "
            "the level to another, or set glm.alpha (a ridge)"
        )
    at_one_end = list(_at_one_end(sums, layout)) if family.link == "log" else []
    if at_one_end:
        raise FitError(
            "the GLM: expected claims at different values of every number, found all of them at "
            f"{_listed(at_one_end)}: the coefficient runs to infinity; leave the feature out, or "
            "set glm.alpha (a ridge)"
        )


def check_levels(solution: Solution, null: Equations, layout: Layout) -> None:
    """Refuse a fit with a log link of which a coefficient, in standard deviations, is too large.

    null: the equations at the constant alone.

    Raises:
        FitError: names the levels and numbers.
    """
    cancelled = set(layout.number_place[_cancelled(solution.coefficients, null.gram, layout)])
    active = [index for index in solution.active[1:] if index not in cancelled]
    large = [index for index in active if abs(solution.coefficients[index]) > RUNAWAY]
    _refuse([layout.columns[index].label for index in large])


def check_numbers(
    coefficients: Sequence[Coefficient],
    sums: LevelSums,
    layout: Layout,
    solution: Solution,
    null: Equations,
) -> None:
    """Refuse a fit with a log link in which the coefficient of a number runs to infinity.

    It makes a rate e^20 times another between the number's ends and is smaller than its own
    standard error, or has lost it in rounding. A rare large value alone has such rates too, but
    then they are estimated. Numbers that are nearly alike, such as an age in years and in days,
    have large coefficients that cancel each other, and no rate runs away.

    null: the equations at the constant alone.

    Raises:
        FitError: names the numbers.
    """
    terms = {term.feature: term for term in coefficients if term.level is None}
    runaway = []
    cancelled = _cancelled(solution.coefficients, null.gram, layout)
    for place, name in enumerate(layout.numbers):
        slope, error = terms[name].coefficient, terms[name].standard_error
        span = layout.scale[place] * -(sums.ends[place, 1] + sums.ends[place, 0])
        is_estimated = error is None or 0.0 < error < abs(slope)
        if abs(slope) * span > RUNAWAY and not is_estimated and not cancelled[place]:
            runaway.append(name)
    _refuse(runaway)


def _cancelled(coefficients: np.ndarray, gram: np.ndarray, layout: Layout) -> np.ndarray:
    """Return which numbers others cancel: bool[numbers].

    coefficients: float64[p]; gram: float64[p, p], in which rows weigh as their units do.
    """
    places = layout.number_place
    means = gram[0, places] / gram[0, 0]
    covariance = gram[np.ix_(places, places)] / gram[0, 0] - np.outer(means, means)
    slopes = coefficients[places]
    own = np.abs(slopes) * np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    joint = float(np.sqrt(max(slopes @ covariance @ slopes, 0.0)))
    cancelled: np.ndarray = (joint < CANCELLED * own) & (WIDTH * joint < RUNAWAY)
    return cancelled


def _refuse(runaway: Sequence[str]) -> None:
    if runaway:
        raise FitError(
            "the GLM: expected finite coefficients, found that those of "
            f"{', '.join(runaway[:10])} run to infinity: together these levels hold rows without "
            "any claims (separation); join levels, leave a feature out, or set glm.alpha (a ridge)"
        )


def _at_one_end(sums: LevelSums, layout: Layout) -> Iterator[str]:
    """Yield each number whose claims all lie at its least or at its largest value, and which."""
    for place, name in enumerate(layout.numbers):
        least, most = sums.ends[place, 0], -sums.ends[place, 1]
        first, last = sums.ends[place, 2], -sums.ends[place, 3]
        if least < most and (last == least or first == most):
            value = layout.centre[place] + layout.scale[place] * last
            yield f"{name} = {value:.6g}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
