"""Fit a GLM on rows of a design.

Check the rows, choose the family's own parameter where it is profiled, solve, and compute the
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kyros_spark.config import OWN_PARAMETERS, GlmSettings, ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Equations, LevelSums
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.glm_statistics import Coefficient, coefficients_of, statistics_of
from kyros_spark.fitting.irls import Penalty, Rows, Solution, Stop, solve
from kyros_spark.fitting.profile_likelihood import largest
from kyros_spark.fitting.segments.pooled_rows import PooledRows
from kyros_spark.fitting.separation import (
    check_claims,
    check_failed,
    check_levels,
    check_numbers,
)

POWERS, LOG_THETAS = (1.01, 1.99), (math.log(0.01), math.log(1000.0))


@dataclass(frozen=True)
class GlmFit:
    """A fitted GLM: the terms that predict uses, and the statistics of the fit.

    intercept, tables, slopes  on the scale of the linear predictor, of unscaled numbers
    tables     one coefficient per level, by feature
    slopes     one coefficient per numeric feature, per unit of the number
    power      the variance power, estimated for a profiled Tweedie
    theta      the negative binomial's parameter (variance mu + mu^2 / theta)
    rows_held  where the rows were held during the fit
    layout     of the design; None if MLlib fitted it
    pooled     the rows that were fitted, for the fits of their segments; None without those, and
               where the rows are not in this process
    """

    intercept: float
    tables: dict[str, list[float]]
    slopes: dict[str, float]
    iterations: int
    coefficients: tuple[Coefficient, ...] = ()
    statistics: dict[str, float] | None = None
    aliased: tuple[str, ...] = ()
    power: float | None = None
    theta: float | None = None
    rows_held: str = ""
    converged: bool = True
    layout: Layout | None = None
    pooled: PooledRows | None = None


def fit_rows(
    rows: Rows, settings: ModelSettings, judged: Rows | None = None, rows_held: str = "local"
) -> GlmFit:
    """Fit on `rows` and compute the statistics on `judged`.

    judged: all rows, where `rows` are collapsed from them; otherwise `rows` are used for both.

    Raises:
        TrainingDataError: a number, label or weight cannot be fitted.
        FitError: a level has no claims, or the solver did not converge.
    """
    judged, glm = judged or rows, settings.glm
    family = _family(settings)
    sums = judged.level_sums(family)
    _check(sums, judged, family, glm)
    penalty, stop = Penalty(glm.alpha, glm.l1_ratio), Stop(glm.max_iter, glm.tol)
    start = np.zeros(len(rows.layout.columns))
    mean = sums.observed[0] / (sums.exposure[0] if family.link == "log" else sums.weight)
    start[0] = family.linear_predictor(mean)

    null = solve(rows, family, sums.weight, start, stop=stop, columns=[0])
    # A Gamma's labels are all above zero: no rows have a rate that could fall to nothing.
    falls_to_zero = family.link == "log" and family.power < 2.0
    can_run_away = (falls_to_zero or family.is_binomial) and not penalty.alpha
    check = partial(check_levels, null=null.equations, layout=rows.layout)
    explain = partial(check_failed, sums=sums, null=null.equations, layout=rows.layout)

    def fitted(family: Family, start: np.ndarray, at_start: Equations | None = None) -> Solution:
        return solve(
            rows, family, sums.weight, start, penalty, stop,
            at_start=at_start, check=explain if can_run_away else None,
        )  # fmt: skip

    if _is_profiled(settings):
        family = _profiled(family, fitted, judged, start)
        null = solve(rows, family, sums.weight, start, stop=stop, columns=[0])
    solution = fitted(family, null.coefficients, null.equations)
    if can_run_away:
        check(solution.coefficients, solution.active)
    final = solution
    if judged is not rows:
        final = replace(solution, equations=judged.equations(family, solution.coefficients))
        null = replace(null, equations=judged.equations(family, null.coefficients))
    statistics = statistics_of(judged, family, final, null)
    coefficients = coefficients_of(
        rows.layout, family, final, sums, statistics["dispersion"],
        glm.confidence, exact=penalty.alpha == 0.0,
    )  # fmt: skip
    if can_run_away:
        check_numbers(coefficients, sums, rows.layout, solution.coefficients, null.equations)
    return _as_fit(rows, coefficients, statistics, solution, family, rows_held)


def _family(settings: ModelSettings) -> Family:
    link = settings.glm.link
    if settings.family == "negative_binomial":
        return Family(1.0, link, 1.0 if settings.theta == "profile" else float(settings.theta))
    if settings.family == "tweedie":
        power = settings.tweedie_power
        return Family(1.5 if power == "profile" else float(power), link)
    return Family({"poisson": 1.0, "gamma": 2.0, "binomial": 1.0}[settings.family], link)


def _is_profiled(settings: ModelSettings) -> bool:
    parameter = OWN_PARAMETERS.get(settings.family)
    return parameter is not None and getattr(settings, parameter) == "profile"


def _check(sums: LevelSums, rows: Rows, family: Family, glm: GlmSettings) -> None:
    faults = [f"{fault} in {count} rows" for fault, count in sums.faults.items() if count]
    if faults:
        raise TrainingDataError(
            f"the GLM: expected finite numbers, weights above zero and labels that its family "
            f"takes, found: {'; '.join(faults)}; let clean reject or prepare mend these rows"
        )
    if sums.observed[0] <= 0:
        raise TrainingDataError(
            f"the GLM: expected {family.events}, found {rows.count} rows with a total of "
            f"{sums.observed[0]:g}"
        )
    if family.is_binomial and sums.observed[0] >= sums.weight:
        raise TrainingDataError(
            f"the GLM: expected both outcomes, found {rows.count} rows with a label of 1 each"
        )
    if glm.alpha == 0.0:
        check_claims(sums, rows.layout, family)


def _profiled(
    family: Family,
    fitted: Callable[[Family, np.ndarray], Solution],
    judged: Rows,
    start: np.ndarray,
) -> Family:
    """Return the family with the parameter of largest profile likelihood.

    start: float64[p], the coefficients to begin with
    The coefficients are fitted anew for each candidate. The dispersion is Pearson's.
    """
    coefficients = start

    def likelihood(family: Family) -> float:
        nonlocal coefficients
        solution = fitted(family, coefficients)
        coefficients = solution.coefficients
        free = max(judged.count - len(solution.active), 1)
        pearson = solution.equations.pearson
        if family.has_dispersion:
            pearson = judged.equations(family, coefficients).pearson
        dispersion = pearson / free if family.has_dispersion else 1.0
        return judged.likelihood(family, coefficients, dispersion)

    if family.theta is None:
        power = largest(lambda p: likelihood(replace(family, power=p)), *POWERS, 1e-6)
        return replace(family, power=power)
    best = largest(lambda t: likelihood(replace(family, theta=math.exp(t))), *LOG_THETAS, 1e-6)
    return replace(family, theta=math.exp(best))


def _as_fit(
    rows: Rows,
    coefficients: Sequence[Coefficient],
    statistics: dict[str, float],
    solution: Solution,
    family: Family,
    rows_held: str,
) -> GlmFit:
    layout = rows.layout
    tables: dict[str, list[float]] = {name: [] for name in layout.factors}
    slopes = {}
    for term in coefficients[1:]:
        if term.level is None:
            slopes[term.feature] = term.coefficient
        else:
            tables[term.feature].append(term.coefficient)
    aliased = tuple(layout.columns[index].label for index in solution.aliased)
    return GlmFit(
        intercept=coefficients[0].coefficient,
        tables=tables,
        slopes=slopes,
        iterations=solution.iterations,
        coefficients=tuple(coefficients),
        statistics=statistics,
        aliased=aliased,
        power=family.power,
        theta=family.theta,
        rows_held=rows_held,
        layout=layout,
    )
