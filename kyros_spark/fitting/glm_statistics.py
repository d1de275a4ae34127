"""State what a GLM's fit tells: standard errors and tests by coefficient, and totals.

Definitions are statsmodels': dispersion = Pearson's chi-square / residual degrees of freedom (1 for
Poisson and negative binomial), normal tests and intervals, AIC = 2 p - 2 log-likelihood and
BIC = p log n - 2 log-likelihood, p the number of coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from kyros_spark.fitting.design import Layout
from kyros_spark.fitting.equations import Family, LevelSums
from kyros_spark.fitting.irls import Rows, Solution


@dataclass(frozen=True)
class Coefficient:
    """A coefficient and what is known of it; None where there is no such thing.

    A base level and an aliased column have coefficient 0 and no standard error; nor has any
    coefficient under a penalty, whose estimates are biased on purpose.
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


def statistics_of(rows: Rows, law: Family, found: Solution, null: Solution) -> dict[str, float]:
    """Return the totals of a fit."""
    count, size = rows.count, len(found.active)
    free = count - size
    dispersion = 1.0
    if law.has_dispersion:
        dispersion = found.equations.pearson / free if free > 0 else math.nan
    likelihood = math.nan
    if dispersion > 0:
        likelihood = rows.likelihood(law, found.coefficients, dispersion)
    told = {
        "null_deviance": null.equations.deviance,
        "residual_deviance": found.equations.deviance,
        "pearson_chi2": found.equations.pearson,
        "dispersion": dispersion,
        "log_likelihood": likelihood,
        "aic": 2 * size - 2 * likelihood,
        "bic": size * math.log(count) - 2 * likelihood,
        "df_model": size - 1.0,
        "df_residual": float(free),
    }
    return {name: value for name, value in told.items() if math.isfinite(value)} | {
        "dispersion": dispersion if math.isfinite(dispersion) else 1.0
    }


def coefficients_of(
    layout: Layout,
    law: Family,
    found: Solution,
    sums: LevelSums,
    dispersion: float,
    confidence: float,
    exact: bool,
) -> list[Coefficient]:
    """Return every coefficient, of the numbers as given, in the order of the design.

    exact: no penalty, so that the information tells the standard errors
    """
    back = layout.unscaled()
    values = back @ found.coefficients
    errors = _standard_errors(layout, back, found, dispersion) if exact else {}
    reach = NormalDist().inv_cdf(0.5 + confidence / 2)
    told = []
    for place, column in enumerate(layout.columns):
        value, error = float(values[place]), errors.get(place)
        z = value / error if error else None
        told.append(
            Coefficient(
                feature=column.feature,
                level=column.level,
                is_base=column.is_base,
                aliased=place in found.aliased,
                coefficient=value,
                standard_error=error,
                z=z,
                p_value=None if z is None else math.erfc(abs(z) / math.sqrt(2.0)),
                lower=None if error is None else value - reach * error,
                upper=None if error is None else value + reach * error,
                rows=int(sums.rows[place]),
                exposure=float(sums.exposure[place]),
                observed=float(sums.observed[place]),
            )
        )
    return told


def _standard_errors(
    layout: Layout, back: np.ndarray, found: Solution, dispersion: float
) -> dict[int, float]:
    inside = found.equations.gram[np.ix_(found.active, found.active)]
    scale = 1.0 / np.sqrt(inside.diagonal())
    inverse = np.linalg.inv(inside * scale[:, None] * scale[None, :])
    covariance = inverse * scale[:, None] * scale[None, :] * dispersion
    part = back[np.ix_(found.active, found.active)]
    variances = np.einsum("ij,jk,ik->i", part, covariance, part, optimize=True)
    return {place: math.sqrt(max(v, 0.0)) for place, v in zip(found.active, variances, strict=True)}
