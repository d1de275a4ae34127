"""Fit a GLM on rows of a design: levels checked, its own parameter found, solved, and judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kyros_spark.config import OWN_PARAMETERS, GlmSettings, ModelSettings
from kyros_spark.errors import FitError, TrainingDataError
from kyros_spark.fitting.equations import Equations, Family, LevelSums
from kyros_spark.fitting.glm_statistics import Coefficient, coefficients_of, statistics_of
from kyros_spark.fitting.irls import Penalty, Rows, Solution, Stop, solve
from kyros_spark.fitting.profile_likelihood import largest

# e^20: no rate is that far from another; the coefficient is on its way to infinity.
RUNAWAY = 20.0
POWERS, LOG_THETAS = (1.01, 1.99), (math.log(0.01), math.log(1000.0))


@dataclass(frozen=True)
class GlmFit:
    """A fitted GLM: its terms as predict takes them, and what is told of it.

    tables: one coefficient a level by feature; slopes: one a number
    power: the Tweedie power; theta: the negative binomial's (variance mu + mu^2 / theta)
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


def fit_rows(
    rows: Rows, settings: ModelSettings, judged: Rows | None = None, held: str = "local"
) -> GlmFit:
    """Fit on `rows`; statistics are those of `judged`, where `rows` are collapsed from them.

    Raises:
        TrainingDataError: a number, label or weight cannot be fitted.
        FitError: a level has no claims, or the solver did not arrive.
    """
    judged, glm = judged or rows, settings.glm
    law = _law(settings)
    sums = judged.level_sums(law)
    _check(sums, judged, law, glm)
    penalty, stop = Penalty(glm.alpha, glm.l1_ratio), Stop(glm.max_iter, glm.tol)
    start = np.zeros(len(rows.layout.columns))
    mean = sums.observed[0] / (sums.exposure[0] if law.link == "log" else sums.weight)
    start[0] = math.log(mean) if law.link == "log" else mean

    def fitted(law: Family, start: np.ndarray, known: Equations | None = None) -> Solution:
        return solve(rows, law, sums.weight, start, penalty, stop, known=known)

    if _is_profiled(settings):
        law = _profiled(law, fitted, judged, start)
    null = solve(rows, law, sums.weight, start, stop=stop, columns=[0])
    found = fitted(law, null.coefficients, null.equations)
    _check_finite(found, rows, law, penalty)
    final = found
    if judged is not rows:
        final = replace(found, equations=judged.equations(law, found.coefficients))
        null = replace(null, equations=judged.equations(law, null.coefficients))
    told = statistics_of(judged, law, final, null)
    coefficients = coefficients_of(
        rows.layout, law, final, sums, told["dispersion"],
        glm.confidence, exact=penalty.alpha == 0.0,
    )  # fmt: skip
    return _as_fit(rows, coefficients, told, found, law, held)


def _law(settings: ModelSettings) -> Family:
    link = settings.glm.link
    if settings.family == "negative_binomial":
        return Family(1.0, link, 1.0 if settings.theta == "profile" else float(settings.theta))
    if settings.family == "tweedie":
        power = settings.tweedie_power
        return Family(1.5 if power == "profile" else float(power), link)
    return Family({"poisson": 1.0, "gamma": 2.0}[settings.family], link)


def _is_profiled(settings: ModelSettings) -> bool:
    own = OWN_PARAMETERS.get(settings.family)
    return own is not None and getattr(settings, own) == "profile"


def _check(sums: LevelSums, rows: Rows, law: Family, glm: GlmSettings) -> None:
    faults = [f"{what} in {count} rows" for what, count in sums.faults.items() if count]
    if faults:
        raise TrainingDataError(
            f"the GLM: expected finite numbers, weights above zero and labels that its family "
            f"takes, found: {'; '.join(faults)}; let clean reject or prepare mend these rows"
        )
    if sums.observed[0] <= 0:
        raise TrainingDataError(
            f"the GLM: expected claims, found {rows.count} rows with a total of "
            f"{sums.observed[0]:g}"
        )
    empty = [
        column.label
        for place, column in enumerate(rows.layout.columns)
        if column.level is not None and sums.rows[place] and sums.observed[place] <= 0
    ]
    if empty and glm.alpha == 0.0:
        raise FitError(
            f"the GLM: expected claims in every level, found none in {', '.join(empty[:10])}"
            f"{f' and {len(empty) - 10} more' if len(empty) > 10 else ''}: the coefficient runs to "
            "minus infinity; raise min_level_share or lower max_levels, join the level to another, "
            "or set glm.alpha (a ridge)"
        )


def _profiled(
    law: Family, fitted: Callable[[Family, np.ndarray], Solution], judged: Rows, start: np.ndarray
) -> Family:
    """Return the law whose own parameter has the largest profile likelihood.

    For each candidate the coefficients are fitted anew; a dispersion is Pearson's.
    """
    at = start

    def likelihood(law: Family) -> float:
        nonlocal at
        found = fitted(law, at)
        at = found.coefficients
        free = max(judged.count - len(found.active), 1)
        pearson = found.equations.pearson
        if law.has_dispersion:
            pearson = judged.equations(law, at).pearson
        return judged.likelihood(law, at, pearson / free if law.has_dispersion else 1.0)

    if law.theta is None:
        power = largest(lambda p: likelihood(replace(law, power=p)), *POWERS, 1e-6)
        return replace(law, power=power)
    best = largest(lambda t: likelihood(replace(law, theta=math.exp(t))), *LOG_THETAS, 1e-6)
    return replace(law, theta=math.exp(best))


def _check_finite(found: Solution, rows: Rows, law: Family, penalty: Penalty) -> None:
    if law.link != "log" or penalty.alpha:
        return
    far = [
        rows.layout.columns[place].label
        for place in found.active[1:]
        if abs(found.coefficients[place]) > RUNAWAY
    ]
    if far:
        raise FitError(
            f"the GLM: expected finite coefficients, found that those of {', '.join(far[:10])} run "
            "to infinity: together these levels hold rows without any claims (separation); join "
            "levels, leave a feature out, or set glm.alpha (a ridge)"
        )


def _as_fit(
    rows: Rows,
    coefficients: Sequence[Coefficient],
    told: dict[str, float],
    found: Solution,
    law: Family,
    held: str,
) -> GlmFit:
    layout = rows.layout
    tables: dict[str, list[float]] = {name: [] for name in layout.factors}
    slopes = {}
    for one in coefficients[1:]:
        if one.level is None:
            slopes[one.feature] = one.coefficient
        else:
            tables[one.feature].append(one.coefficient)
    aliased = tuple(layout.columns[place].label for place in found.aliased)
    return GlmFit(
        intercept=coefficients[0].coefficient,
        tables=tables,
        slopes=slopes,
        iterations=found.iterations,
        coefficients=tuple(coefficients),
        statistics=told,
        aliased=aliased,
        power=law.power,
        theta=law.theta,
        rows_held=held,
    )
