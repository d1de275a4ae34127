"""Sum the log-likelihood of a GLM's rows, all constants included, as statsmodels defines it.

Tweedie's density is evaluated by the series of Dunn and Smyth: Series evaluation of Tweedie
exponential dispersion model densities, Statistics and Computing 15, 2005.
"""

import math

import numpy as np

SMALLEST_TERM = 37.0  # terms below e^-37 of the largest do not change the sum's last digit


def log_likelihood(
    label: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
    power: float,
    alpha: float,
    dispersion: float,
) -> float:
    """Return the sum over the rows; a row's dispersion is `dispersion / weight`.

    label       float64[n]: y, in the target's unit; for Tweedie y may be zero
    weight      float64[n], above zero; such as exposure in years
    mean        float64[n]: mu, in the label's unit, above zero
    power       of the variance mu^power: 1 Poisson, 2 gamma, between them Tweedie
    alpha       above zero: negative binomial, variance mu + alpha mu^2; `power` is then not read
    dispersion  phi, without unit; 1 for Poisson and negative binomial
    """
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
            mu_power = math.pow(mu, 2.0 - power)
            part = w * (y * mu_power / mu / (1.0 - power) - mu_power / (2.0 - power))
            if y > 0.0:
                # power between 1 and 2: a = (2 - p) / (p - 1), terms z^j / (j! Gamma(j a))
                a = (2.0 - power) / (power - 1.0)
                log_z = a * math.log(y) - a * math.log(power - 1.0)
                log_z += (1.0 + a) * math.log(w) - math.log(2.0 - power)
                peak = max(1.0, math.floor(w * math.pow(y, 2.0 - power) / (2.0 - power) + 0.5))
                log_peak = peak * log_z - math.lgamma(peak + 1.0) - math.lgamma(peak * a)
                series = 1.0
                for direction in (-1.0, 1.0):
                    j = peak + direction
                    while j >= 1.0:
                        term = j * log_z - math.lgamma(j + 1.0) - math.lgamma(j * a) - log_peak
                        if term < -SMALLEST_TERM:
                            break
                        series += math.exp(term)
                        j += direction
                part += log_peak + math.log(series) - math.log(y)
            total += part
    return total
