"""Accumulate the normal equations of a GLM, row by row, by index arithmetic.

A row of the design is the constant, one indicator a factor (`places[row, f]` is the column that is
1) and a few numbers (`numbers[row, k]` in column `number_place[k]`): no dense row is ever made.
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition, section 2.5.
"""

import math

import numpy as np

LOG, IDENTITY = 0, 1


def linear_predictor(
    places: np.ndarray,
    numbers: np.ndarray,
    number_place: np.ndarray,
    coefficients: np.ndarray,
    offset: np.ndarray,
    eta: np.ndarray,
) -> None:
    """Write each row's offset + x'beta to `eta`."""
    for row in range(offset.size):
        total = offset[row] + coefficients[0]
        for f in range(places.shape[1]):
            total += coefficients[places[row, f]]
        for k in range(number_place.size):
            total += coefficients[number_place[k]] * numbers[row, k]
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

    Variance: mu^power, or mu + alpha mu^2 where alpha > 0 (negative binomial). A mean that is not
    above zero, or not finite, makes the deviance infinite, which no step may lead to.
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
            least = mu * mu / variance
            unit = least / (2.0 - power) - y * least / mu / (1.0 - power)
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
    places: np.ndarray,
    numbers: np.ndarray,
    number_place: np.ndarray,
    information: np.ndarray,
    score: np.ndarray,
    gram: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add X'WX to `gram`, each pair of columns in one of its two places, and X'score to `gradient`.

    Left out: the constant beside an indicator, which equals that indicator's diagonal.
    """
    factors = places.shape[1]
    count = number_place.size
    for row in range(information.size):
        w = information[row]
        s = score[row]
        for f in range(factors):
            a = places[row, f]
            gradient[a] += s
            for g in range(f, factors):
                gram[a, places[row, g]] += w
            for k in range(count):
                gram[a, number_place[k]] += w * numbers[row, k]
        for k in range(count):
            a = number_place[k]
            value = numbers[row, k]
            gradient[a] += s * value
            gram[0, a] += w * value
            for m in range(k, count):
                gram[a, number_place[m]] += w * value * numbers[row, m]
        gram[0, 0] += w
        gradient[0] += s
