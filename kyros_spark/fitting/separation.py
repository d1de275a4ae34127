"""Find coefficients of a GLM that run to infinity, since rows without claims can be told apart.

With a log link the likelihood of such rows rises for as long as their mean falls, and with a logit
that of rows of one outcome for as long as their mean nears it. The solver then stops wherever the
deviance no longer changes, and what it stopped at is no estimate.
Source: Albert and Anderson, 1984, for separation; Santos Silva and Tenreyro, 2010, for counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kyros_spark.errors import FitError
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Equations, LevelSums
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.glm_statistics import Coefficient

# No rate, and no odds, are e^20 times others: a coefficient beyond this is on its way to infinity.
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
            f"the GLM: expected {family.events} in every level, found none in {_listed(empty)}: "
            "the coefficient runs to minus infinity; raise min_level_share or lower max_levels, "
            "join the level to another, or set glm.alpha (a ridge)"
        )
    if family.is_binomial:
        _check_outcomes(sums, layout)
    at_one_end = list(_at_one_end(sums, layout)) if family.link == "log" else []
    if at_one_end:
        raise FitError(
            "the GLM: expected claims at different values of every number, found all of them at "
            f"{_listed(at_one_end)}: the coefficient runs to infinity; leave the feature out, or "
            "set glm.alpha (a ridge)"
        )


def _check_outcomes(sums: LevelSums, layout: Layout) -> None:
    """Refuse levels in which all rows have a label of 1, and numbers that part the two outcomes.

    Raises:
        FitError: names them.
    """
    full = [
        column.label
        for index, column in enumerate(layout.columns)
        if column.level is not None
        and sums.rows[index]
        and sums.observed[index] >= sums.exposure[index]
    ]
    if full:
        raise FitError(
            f"the GLM: expected both outcomes in every level, found all rows at 1 in "
            f"{_listed(full)}: the coefficient runs to infinity; raise min_level_share or lower "
            "max_levels, join the level to another, or set glm.alpha (a ridge)"
        )
    parting = list(_parting(sums, layout))
    if parting:
        raise FitError(
            "the GLM: expected both outcomes between the ends of every number, found them apart "
            f"at {_listed(parting)}: the coefficient runs to infinity; leave the feature out, or "
            "set glm.alpha (a ridge)"
        )


def check_levels(
    coefficients: np.ndarray, active: Sequence[int], null: Equations, layout: Layout
) -> None:
    """Refuse a fit of which a coefficient, in standard deviations, is too large.

    coefficients: float64[p]; active: the columns solved for, the constant first
    null: the equations at the constant alone.

    Raises:
        FitError: names the levels and numbers.
    """
    cancelled = set(layout.number_place[_cancelled(coefficients, null.gram, layout)])
    large = [
        index
        for index in active[1:]
        if index not in cancelled and abs(coefficients[index]) > RUNAWAY
    ]
    _refuse([layout.columns[index].label for index in large])


def check_failed(
    coefficients: np.ndarray,
    active: Sequence[int],
    sums: LevelSums,
    null: Equations,
    layout: Layout,
) -> None:
    """Refuse a fit whose equations became singular, by what was on its way to infinity.

    There are no standard errors then, so any number is named that makes a rate (or odds) e^20 times
    another between its ends and is cancelled by no other. On which step equations are singular to
    the last digit depends on the machine.

    Raises:
        FitError: names the levels and numbers.
    """
    check_levels(coefficients, active, null, layout)
    spans = -(sums.ends[:, 1] + sums.ends[:, 0])
    steep = np.abs(coefficients[layout.number_place]) * spans > RUNAWAY
    runaway = steep & ~_cancelled(coefficients, null.gram, layout)
    _refuse([name for name, runs in zip(layout.numbers, runaway, strict=True) if runs])


def check_numbers(
    terms: Sequence[Coefficient],
    sums: LevelSums,
    layout: Layout,
    coefficients: np.ndarray,
    null: Equations,
) -> None:
    """Refuse a fit in which the coefficient of a number runs to infinity.

    It makes a rate (or odds) e^20 times another between the number's ends and is smaller than its
    own standard error, or has lost it in rounding. A rare large value alone has such rates too, but
    then they are estimated. Numbers that are nearly alike, such as an age in years and in days,
    have large coefficients that cancel each other, and no rate runs away.

    coefficients: float64[p], of which terms tells the errors
    null: the equations at the constant alone.

    Raises:
        FitError: names the numbers.
    """
    of_numbers = {term.feature: term for term in terms if term.level is None}
    runaway = []
    cancelled = _cancelled(coefficients, null.gram, layout)
    for place, name in enumerate(layout.numbers):
        slope, error = of_numbers[name].coefficient, of_numbers[name].standard_error
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
            "any claims, or of one outcome (separation); join levels, leave a feature out, or set "
            "glm.alpha (a ridge)"
        )


def _at_one_end(sums: LevelSums, layout: Layout) -> Iterator[str]:
    """Yield each number whose claims all lie at its least or at its largest value, and which."""
    for place, name in enumerate(layout.numbers):
        least, most = sums.ends[place, 0], -sums.ends[place, 1]
        first, last = sums.ends[place, 2], -sums.ends[place, 3]
        if least < most and (last == least or first == most):
            value = layout.centre[place] + layout.scale[place] * last
            yield f"{name} = {value:.6g}"


def _parting(sums: LevelSums, layout: Layout) -> Iterator[str]:
    """Yield each number below which all rows have one outcome, and above which the other."""
    for place, name in enumerate(layout.numbers):
        least, most = sums.ends[place, 0], -sums.ends[place, 1]
        first_one, last_one = sums.ends[place, 2], -sums.ends[place, 3]
        first_zero, last_zero = sums.ends[place, 4], -sums.ends[place, 5]
        if least < most and (last_zero <= first_one or last_one <= first_zero):
            cut = first_one if last_zero <= first_one else last_one
            yield f"{name} = {layout.centre[place] + layout.scale[place] * cut:.6g}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
