"""Sum the log-likelihood of a GLM's rows, with every constant, as statsmodels defines it.

Tweedie's density by the series of Dunn and Smyth, Series evaluation of Tweedie exponential
dispersion model densities, Statistics and Computing 15, 2005.
"""

import math

import numpy as np

SMALLEST_TERM = 37.0  # e^-37 of the largest term is below the last digit of the sum


def log_likelihood(
    label: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
    power: float,
    alpha: float,
    dispersion: float,
) -> float:
    """Return the sum over rows; weight divides the dispersion."""
    total = 0.0
    for row in range(label.size):
        y, mu, w = label[row], mean[row], weight[row] / dispersion
        if alpha > 0.0:
            inverse = 1.0 / alpha
            part = y * math.log(alpha * mu / (1.0 + alpha * mu))
            part -= inverse * math.log(1.0 + alpha * mu)
            part += math.lgamma(y + inverse) - math.lgamma(inverse) - math.lgamma(y + 1.0)
            total += w * part
        elif power == 1.0:
            total += w * (y * math.log(mu) - mu - math.lgamma(y + 1.0))
        elif power == 2.0:
            total += w * math.log(w * y / mu) - w * y / mu - math.lgamma(w) - math.log(y)
        else:
            least = math.pow(mu, 2.0 - power)
            part = w * (y * least / mu / (1.0 - power) - least / (2.0 - power))
            if y > 0.0:
                # power between 1 and 2: a = (2 - p) / (p - 1), terms z^j / (j! Gamma(j a))
                a = (2.0 - power) / (power - 1.0)
                log_z = a * math.log(y) - a * math.log(power - 1.0)
                log_z += (1.0 + a) * math.log(w) - math.log(2.0 - power)
                top = max(1.0, math.floor(w * math.pow(y, 2.0 - power) / (2.0 - power) + 0.5))
                most = top * log_z - math.lgamma(top + 1.0) - math.lgamma(top * a)
                series = 1.0
                for way in (-1.0, 1.0):
                    j = top + way
                    while j >= 1.0:
                        term = j * log_z - math.lgamma(j + 1.0) - math.lgamma(j * a) - most
                        if term < -SMALLEST_TERM:
                            break
                        series += math.exp(term)
                        j += way
                part += most + math.log(series) - math.log(y)
            total += part
    return total
