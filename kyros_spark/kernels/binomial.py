"""Evaluate the rows of a GLM of a probability: variance mu (1 - mu), link logit.

What overflows or cancels near 0 and 1 is written with exp(-|eta|), which does neither.
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition, section 4.4.
"""

import math

import numpy as np


def binomial_working(
    label: np.ndarray,
    weight: np.ndarray,
    eta: np.ndarray,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Write each row's expected information and score; add deviance and Pearson's chi-square.

    A probability that is no number, or 0 or 1 to the last bit, makes the deviance infinite, and no
    step may lead there.

    label        float64[n]: y, a share from 0 to 1
    weight       float64[n]: the number of trials that y is the share of
    eta          float64[n]: the linear predictor, log(mu / (1 - mu))
    information  float64[n], output: weight mu (1 - mu)
    score        float64[n], output: weight (y - mu)
    sums         float64[2], updated in place: deviance, Pearson's chi-square
    """
    deviance = 0.0
    pearson = 0.0
    for row in range(label.size):
        y = label[row]
        decay = math.exp(-abs(eta[row]))
        larger = 1.0 / (1.0 + decay)
        smaller = decay * larger
        variance = larger * smaller
        if not variance > 0.0:
            sums[0] = np.inf
            return
        mu, rest = (larger, smaller) if eta[row] >= 0.0 else (smaller, larger)
        unit = max(eta[row], 0.0) - y * eta[row] + math.log1p(decay)
        if y > 0.0:
            unit += y * math.log(y)
        if y < 1.0:
            unit += (1.0 - y) * math.log1p(-y)
        residual = y * rest - (1.0 - y) * mu
        information[row] = weight[row] * variance
        score[row] = weight[row] * residual
        deviance += 2.0 * weight[row] * unit
        pearson += weight[row] * residual * residual / variance
    sums[0] += deviance
    sums[1] += pearson


def binomial_log_likelihood(label: np.ndarray, weight: np.ndarray, eta: np.ndarray) -> float:
    """Return the sum over the rows, each a trial's, times its weight, as statsmodels defines it.

    label   float64[n]: y, a share from 0 to 1
    weight  float64[n], above zero
    eta     float64[n]: the linear predictor
    """
    total = 0.0
    for row in range(label.size):
        y = label[row]
        part = y * eta[row] - max(eta[row], 0.0) - math.log1p(math.exp(-abs(eta[row])))
        total += weight[row] * (part - math.lgamma(y + 1.0) - math.lgamma(2.0 - y))
    return total
