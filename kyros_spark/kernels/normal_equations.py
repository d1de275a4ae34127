"""Accumulate the normal equations of a GLM, row by row, by index arithmetic.

A row of the design holds the constant (column 0), one indicator per factor and a few numbers. No
dense row is ever built; these arrays describe it in all kernels of this file:

indicator_columns  int32[n, factors]: for each factor, the column of the design that is 1
numbers            float64[n, k]: the numeric values, centred and scaled, without unit
number_columns     int64[k]: the column of the design that each number belongs to

n is the number of rows, p the number of columns of the design.
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition, section 2.5.
"""

import math

import numpy as np

LOG, IDENTITY = 0, 1


def linear_predictor(
    indicator_columns: np.ndarray,
    numbers: np.ndarray,
    number_columns: np.ndarray,
    coefficients: np.ndarray,
    offset: np.ndarray,
    eta: np.ndarray,
) -> None:
    """Write each row's offset + x'beta to `eta`.

    coefficients  float64[p]: beta
    offset        float64[n]: on the scale of the linear predictor, such as log(exposure)
    eta           float64[n], output
    """
    for row in range(offset.size):
        total = offset[row] + coefficients[0]
        for f in range(indicator_columns.shape[1]):
            total += coefficients[indicator_columns[row, f]]
        for k in range(number_columns.size):
            total += coefficients[number_columns[k]] * numbers[row, k]
        eta[row] = total


def working(
    label: np.ndarray,
    weight: np.ndarray,
    eta: np.ndarray,
    link: int,
    power: float,
    alpha: float,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Write each row's expected information and score; add deviance and Pearson's chi-square.

    The variance is mu^power, or mu + alpha mu^2 if alpha > 0 (negative binomial). A mean that is
    not finite or not above zero makes the deviance infinite, and no step may lead there.

    label        float64[n]: y, in the target's unit, as is the mean mu
    weight       float64[n]: such as exposure in years
    eta          float64[n]: the linear predictor
    link         LOG or IDENTITY
    information  float64[n], output: weight (dmu/deta)^2 / variance
    score        float64[n], output: weight (dmu/deta) (y - mu) / variance
    sums         float64[2], updated in place: deviance, Pearson's chi-square
    """
    deviance = 0.0
    pearson = 0.0
    for row in range(label.size):
        y = label[row]
        mu = math.exp(eta[row]) if link == LOG else eta[row]
        if not 0.0 < mu < np.inf:
            sums[0] = np.inf
            return
        if alpha > 0.0:
            variance = mu + alpha * mu * mu
            inverse = 1.0 / alpha
            unit = (y + inverse) * math.log((y + inverse) / (mu + inverse))
            unit = (y * math.log(y / mu) if y > 0.0 else 0.0) - unit
        elif power == 1.0:
            variance = mu
            unit = (y * math.log(y / mu) if y > 0.0 else 0.0) - (y - mu)
        elif power == 2.0:
            variance = mu * mu
            unit = (y - mu) / mu - math.log(y / mu)
        else:
            variance = math.pow(mu, power)
            mu_power = mu * mu / variance
            unit = mu_power / (2.0 - power) - y * mu_power / mu / (1.0 - power)
            if y > 0.0:
                unit += math.pow(y, 2.0 - power) / ((1.0 - power) * (2.0 - power))
        slope = mu if link == LOG else 1.0
        part = weight[row] * slope / variance
        information[row] = part * slope
        score[row] = part * (y - mu)
        deviance += 2.0 * weight[row] * unit
        pearson += weight[row] * (y - mu) * (y - mu) / variance
    sums[0] += deviance
    sums[1] += pearson


def cross_products(
    indicator_columns: np.ndarray,
    numbers: np.ndarray,
    number_columns: np.ndarray,
    information: np.ndarray,
    score: np.ndarray,
    gram: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add X'WX to `gram`, half of it only, and X'score to `gradient`.

    Each pair of columns is added at one of its two positions in `gram`. The products of the
    constant with an indicator are left out, because they equal that indicator's diagonal entry.

    information  float64[n]: W, from `working`
    score        float64[n]: from `working`
    gram         float64[p, p], updated in place
    gradient     float64[p], updated in place
    """
    factors = indicator_columns.shape[1]
    count = number_columns.size
    for row in range(information.size):
        w = information[row]
        s = score[row]
        for f in range(factors):
            a = indicator_columns[row, f]
            gradient[a] += s
            for g in range(f, factors):
                gram[a, indicator_columns[row, g]] += w
            for k in range(count):
                gram[a, number_columns[k]] += w * numbers[row, k]
        for k in range(count):
            a = number_columns[k]
            value = numbers[row, k]
            gradient[a] += s * value
            gram[0, a] += w * value
            for m in range(k, count):
                gram[a, number_columns[m]] += w * value * numbers[row, m]
        gram[0, 0] += w
        gradient[0] += s
