"""Evaluate the rows of a small GLM by sufficient statistics, so that equal rows are one cell.

Rows of equal design columns are told apart by three sums alone. With a log link and variance mu^p,
an offset o joins them: u = exp(x'beta) is the mean per unit, and of a cell's rows

    E = sum of w exp((2 - p) o)    Y = sum of w y exp((1 - p) o)    Q = sum of w y^2 exp(-p o)

give information E u^(2-p), score Y u^(1-p) - E u^(2-p), Pearson's chi-square and, but for a
constant, the deviance. With any other link there is no offset, and E, Y, Q are the sums of w, w y
and w y^2.
Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition, sections 2.2 and 2.5.
"""

import math

import numpy as np
from numba.extending import register_jitable

LOG, IDENTITY, LOGIT, NEGATIVE_BINOMIAL = 0, 1, 2, 3  # kinds: link, or a variance of its own
BLOCK = 64  # rows of a block, whose working arrays stay in a core's first cache


def write_cells(
    label: np.ndarray,
    weight: np.ndarray,
    offset: np.ndarray,
    kind: int,
    power: float,
    alpha: float,
    cells: np.ndarray,
    constant: np.ndarray,
) -> None:
    """Write each row's E, Y, Q and what it adds to half the deviance whatever the coefficients.

    label, weight, offset  float64[n]
    power, alpha           of the variance mu^power, or mu + alpha mu^2 (negative binomial)
    cells                  float64[n, 3], output: E, Y, Q
    constant               float64[n], output
    """
    for row in range(label.size):
        y, w = label[row], weight[row]
        if kind != LOG:
            cells[row, 0], cells[row, 1], cells[row, 2] = w, w * y, w * y * y
        elif power == 1.0:
            unit = math.exp(offset[row])
            cells[row, 0], cells[row, 1], cells[row, 2] = w * unit, w * y, w * y * y / unit
        else:
            unit = math.exp(offset[row])
            cells[row, 0] = w * math.pow(unit, 2.0 - power)
            cells[row, 1] = w * y * math.pow(unit, 1.0 - power)
            cells[row, 2] = w * y * y * math.pow(unit, -power)
        constant[row] = w * _constant(y, offset[row], kind, power, alpha)


@register_jitable
def _constant(y: float, offset: float, kind: int, power: float, alpha: float) -> float:
    """Return half a row's unit deviance less what depends on the mean per unit."""
    if kind == LOGIT:
        part = y * math.log(y) if y > 0.0 else 0.0
        return part + ((1.0 - y) * math.log1p(-y) if y < 1.0 else 0.0)
    logs = y * math.log(y) if y > 0.0 else 0.0
    if kind == NEGATIVE_BINOMIAL:
        inverse = 1.0 / alpha
        return logs - (y + inverse) * math.log(y + inverse)
    away = offset if kind == LOG else 0.0
    if power == 1.0:
        return logs - y * away - y
    if power == 2.0:
        return away - math.log(y) - 1.0
    if y > 0.0:
        return math.pow(y, 2.0 - power) / ((1.0 - power) * (2.0 - power))
    return 0.0


@register_jitable
def cell_terms(
    cells: np.ndarray,
    offset: np.ndarray,
    first: int,
    eta: np.ndarray,
    rows: int,
    kind: int,
    power: float,
    alpha: float,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> bool:
    """Write a block's information and score; add half its deviance, Pearson's chi-square, and size.

    cells        float64[n, 3]; offset: float64[n], of a negative binomial only
    first, rows  the block's first cell and their number
    eta          float64[BLOCK]: x'beta
    information, score  float64[BLOCK], output
    sums         float64[3], updated: half the deviance without its constant, Pearson's chi-square,
                 and the sum of the deviance's parts without their signs, which bounds its rounding

    Returns whether every mean is finite and above zero.
    """
    if kind == LOG and power == 1.0:
        return _log_poisson(cells, first, eta, rows, information, score, sums)
    if kind == LOG:
        return _log_power(cells, first, eta, rows, power, information, score, sums)
    if kind == LOGIT:
        return _logit(cells, first, eta, rows, information, score, sums)
    return _by_mean(cells, offset, first, eta, rows, kind, power, alpha, information, score, sums)


@register_jitable
def _log_poisson(
    cells: np.ndarray,
    first: int,
    eta: np.ndarray,
    rows: int,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> bool:
    half, pearson, size, is_sound = 0.0, 0.0, 0.0, True
    for k in range(rows):
        mean = math.exp(eta[k])
        is_sound &= 0.0 < mean < np.inf
        total, claims = cells[first + k, 0] * mean, cells[first + k, 1]
        information[k], score[k] = total, claims - total
        half += total - claims * eta[k]
        size += total + abs(claims * eta[k])
        pearson += cells[first + k, 2] / mean - 2.0 * claims + total
    sums[0] += half
    sums[1] += pearson
    sums[2] += size
    return is_sound


@register_jitable
def _log_power(
    cells: np.ndarray,
    first: int,
    eta: np.ndarray,
    rows: int,
    power: float,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> bool:
    half, pearson, size, is_sound = 0.0, 0.0, 0.0, True
    for k in range(rows):
        mean = math.exp(eta[k])
        is_sound &= 0.0 < mean < np.inf
        units, ratio = cells[first + k, 0], cells[first + k, 1] / mean
        if power == 2.0:
            left, right = units * eta[k], -ratio
            by_square = 1.0 / (mean * mean)
        else:
            lift = math.pow(mean, 2.0 - power)
            units, ratio = units * lift, ratio * lift
            left, right = units / (2.0 - power), ratio / (1.0 - power)
            by_square = lift / (mean * mean)
        information[k], score[k] = units, ratio - units
        half += left - right
        size += abs(left) + abs(right)
        pearson += cells[first + k, 2] * by_square - 2.0 * ratio + units
    sums[0] += half
    sums[1] += pearson
    sums[2] += size
    return is_sound


@register_jitable
def _logit(
    cells: np.ndarray,
    first: int,
    eta: np.ndarray,
    rows: int,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> bool:
    half, pearson, size, is_sound = 0.0, 0.0, 0.0, True
    for k in range(rows):
        decay = math.exp(-abs(eta[k]))
        larger = 1.0 / (1.0 + decay)
        smaller = decay * larger
        variance = larger * smaller
        is_sound &= variance > 0.0
        mean = larger if eta[k] >= 0.0 else smaller
        trials, hits, squares = cells[first + k, 0], cells[first + k, 1], cells[first + k, 2]
        information[k], score[k] = trials * variance, hits - trials * mean
        left = trials * (max(eta[k], 0.0) + math.log1p(decay))
        half += left - hits * eta[k]
        size += left + abs(hits * eta[k])
        pearson += (squares - mean * (2.0 * hits - trials * mean)) / variance
    sums[0] += half
    sums[1] += pearson
    sums[2] += size
    return is_sound


@register_jitable
def _by_mean(
    cells: np.ndarray,
    offset: np.ndarray,
    first: int,
    eta: np.ndarray,
    rows: int,
    kind: int,
    power: float,
    alpha: float,
    information: np.ndarray,
    score: np.ndarray,
    sums: np.ndarray,
) -> bool:
    """Do the same for link identity, and for the negative binomial with its offsets."""
    half, pearson, size = 0.0, 0.0, 0.0
    for k in range(rows):
        mean = eta[k] if kind == IDENTITY else math.exp(eta[k] + offset[first + k])
        if not 0.0 < mean < np.inf:
            return False
        trials, total, squares = cells[first + k, 0], cells[first + k, 1], cells[first + k, 2]
        if kind == NEGATIVE_BINOMIAL:
            variance, slope = mean + alpha * mean * mean, mean
            left = (total + trials / alpha) * math.log(mean + 1.0 / alpha)
            right = total * math.log(mean)
        else:
            variance, slope = math.pow(mean, power), 1.0
            left, right = _identity_parts(trials, total, mean, power)
        information[k] = trials * slope * slope / variance
        score[k] = slope * (total - trials * mean) / variance
        half += left - right
        size += abs(left) + abs(right)
        pearson += (squares - mean * (2.0 * total - trials * mean)) / variance
    sums[0] += half
    sums[1] += pearson
    sums[2] += size
    return True


@register_jitable
def _identity_parts(trials: float, total: float, mean: float, power: float) -> tuple[float, float]:
    """Return the two parts of half a cell's deviance whose difference it is, but for a constant."""
    if power == 1.0:
        return trials * mean, total * math.log(mean)
    if power == 2.0:
        return trials * math.log(mean), -total / mean
    lift = math.pow(mean, 1.0 - power)
    return trials * mean * lift / (2.0 - power), total * lift / (1.0 - power)
