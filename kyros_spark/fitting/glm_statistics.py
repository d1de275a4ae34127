"""Compute a GLM's statistics: standard errors and tests by coefficient, and totals of the fit.

The definitions are those of statsmodels: dispersion = Pearson's chi-square / residual degrees of
freedom (1 for Poisson, negative binomial and binomial), normal tests and intervals,
AIC = 2 p - 2 log-likelihood and BIC = p log n - 2 log-likelihood, with n rows and p coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import LevelSums
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.irls import Rows, Solution


@dataclass(frozen=True)
class Coefficient:
    """A coefficient with its statistics and the totals of its rows; None where undefined.

    Coefficient, standard error and interval (lower, upper) are on the scale of the linear
    predictor, of unscaled numbers. exposure is in units of the model's ``per``, observed the sum of
    weight times label. A base level and an aliased column have coefficient 0 and no standard error.
    Under a penalty no coefficient has one, because the estimates are biased on purpose.
    """

    feature: str
    level: str | None
    is_base: bool
    aliased: bool
    coefficient: float
    standard_error: float | None
    z: float | None
    p_value: float | None
    lower: float | None
    upper: float | None
    rows: int
    exposure: float
    observed: float


def statistics_of(
    rows: Rows, family: Family, solution: Solution, null: Solution
) -> dict[str, float]:
    """Return the totals of a fit; those that are not finite are left out.

    null: the solution with the intercept alone. The dispersion is 1 where it is not finite.
    """
    count, size = rows.count, len(solution.active)
    free = count - size
    dispersion = 1.0
    if family.has_dispersion:
        dispersion = solution.equations.pearson / free if free > 0 else math.nan
    likelihood = math.nan
    if dispersion > 0:
        likelihood = rows.likelihood(family, solution.coefficients, dispersion)
    totals = {
        "null_deviance": null.equations.deviance,
        "residual_deviance": solution.equations.deviance,
        "pearson_chi2": solution.equations.pearson,
        "dispersion": dispersion,
        "log_likelihood": likelihood,
        "aic": 2 * size - 2 * likelihood,
        "bic": size * math.log(count) - 2 * likelihood,
        "df_model": size - 1.0,
        "df_residual": float(free),
    }
    return {name: value for name, value in totals.items() if math.isfinite(value)} | {
        "dispersion": dispersion if math.isfinite(dispersion) else 1.0
    }


def coefficients_of(
    layout: Layout,
    family: Family,
    solution: Solution,
    sums: LevelSums,
    dispersion: float,
    confidence: float,
    exact: bool,
) -> list[Coefficient]:
    """Return every coefficient, of unscaled numbers, in the order of the design.

    exact: there is no penalty, so that the information gives the standard errors
    """
    unscale = layout.unscaled()
    values = unscale @ solution.coefficients
    errors = _standard_errors(unscale, solution, dispersion) if exact else {}
    reach = NormalDist().inv_cdf(0.5 + confidence / 2)
    coefficients = []
    for index, column in enumerate(layout.columns):
        value, error = float(values[index]), errors.get(index)
        z = value / error if error else None
        coefficients.append(
            Coefficient(
                feature=column.feature,
                level=column.level,
                is_base=column.is_base,
                aliased=index in solution.aliased,
                coefficient=value,
                standard_error=error,
                z=z,
                p_value=None if z is None else math.erfc(abs(z) / math.sqrt(2.0)),
                lower=None if error is None else value - reach * error,
                upper=None if error is None else value + reach * error,
                rows=int(sums.rows[index]),
                exposure=float(sums.exposure[index]),
                observed=float(sums.observed[index]),
            )
        )
    return coefficients


def _standard_errors(
    unscale: np.ndarray, solution: Solution, dispersion: float
) -> dict[int, float]:
    """Return the standard error of each active column's unscaled coefficient.

    unscale: float64[p, p], from scaled coefficients to unscaled ones
    """
    inside = solution.equations.gram[np.ix_(solution.active, solution.active)]
    scale = 1.0 / np.sqrt(inside.diagonal())
    inverse = np.linalg.inv(inside * scale[:, None] * scale[None, :])
    covariance = inverse * scale[:, None] * scale[None, :] * dispersion
    part = unscale[np.ix_(solution.active, solution.active)]
    variances = np.einsum("ij,jk,ik->i", part, covariance, part, optimize=True)
    return {
        index: math.sqrt(max(v, 0.0)) for index, v in zip(solution.active, variances, strict=True)
    }
