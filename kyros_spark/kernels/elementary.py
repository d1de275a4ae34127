"""Logarithm and exponential that are the same to the last bit on every CPU, and in Java.

NumPy's own take another path on each generation of CPUs, and their last bits differ. An offset's
bits decide in which order boosting adds its rows, and so enter a model. Only operations that
IEEE 754 rounds in one way are used here.

Source: Sun's fdlibm 5.3, e_log.c and e_exp.c, which Java's StrictMath and so Spark's log and exp
follow.
"""

import numpy as np

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
INVERSE_LN2 = 1.44269504088896338700
LOG_EVEN = (3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
LOG_ODD = (
    6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01,
    1.479819860511658591e-01,
)  # fmt: skip
EXP = (
    1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05,
    -1.65339022054652515390e-06, 4.13813679705723846039e-08,
)  # fmt: skip
LARGEST, SMALLEST = 7.09782712893383973096e02, -7.45133219101941108420e02


def log(values: np.ndarray) -> np.ndarray:
    """Return natural logarithms, float64[n], of float64[n]; -inf for zero, NaN below it."""
    x = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        small = x < 2.2250738585072014e-308
        bits = np.where(small, x * 2.0**54, x).view(np.int64)
        high = bits >> 32
        k = np.where(small, -54, 0) + (high >> 20) - 1023
        fraction = high & 0xFFFFF
        half = (fraction + 0x95F64) & 0x100000
        k = (k + (half >> 20)).astype(np.float64)
        word = (fraction | (half ^ 0x3FF00000)) << 32 | (bits & 0xFFFFFFFF)
        f = word.view(np.float64) - 1.0
        result = np.where(
            (0xFFFFF & (2 + fraction)) < 3, _near_one(f, k), _by_series(f, k, fraction)
        )
        result = np.where(x > 0, result, np.where(x == 0, -np.inf, np.nan))
        return np.where(x == np.inf, np.inf, result)


def exp(values: np.ndarray) -> np.ndarray:
    """Return e^x, float64[n], of float64[n]."""
    x = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        size = np.abs(x)
        inside = np.where((x <= LARGEST) & (x >= SMALLEST), x, 0.0)
        sign = np.where(inside < 0, -1.0, 1.0)
        high = np.asarray(size).view(np.int64) >> 32
        k = np.trunc(INVERSE_LN2 * inside + 0.5 * sign)
        k = np.where(high < 0x3FF0A2B2, sign, k)
        k = np.where(high > 0x3FD62E42, k, 0.0)
        upper, lower = inside - k * LN2_HIGH, k * LN2_LOW
        r = upper - lower
        t = r * r
        c = r - t * _polynomial(t, EXP)
        plain = 1.0 - ((r * c) / (c - 2.0) - r)
        scaled = np.ldexp(1.0 - ((lower - (r * c) / (2.0 - c)) - upper), k.astype(np.int32))
        result = np.where(k == 0, plain, scaled)
        result = np.where(high < 0x3E300000, 1.0 + inside, result)
        result = np.where(x > LARGEST, np.inf, np.where(x < SMALLEST, 0.0, result))
        return np.where(np.isnan(x), np.nan, result)


def _near_one(f: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return log(2^k (1 + f)) for |f| below 2^-20."""
    r = f * f * (0.5 - 0.33333333333333333 * f)
    result = np.where(k == 0, f - r, k * LN2_HIGH - ((r - k * LN2_LOW) - f))
    return np.where(f == 0, k * LN2_HIGH + k * LN2_LOW, result)


def _by_series(f: np.ndarray, k: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Return log(2^k (1 + f)); fraction: the upper 20 bits of the value's fraction."""
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    r = z * _polynomial(w, LOG_ODD) + w * _polynomial(w, LOG_EVEN)
    half = 0.5 * f * f
    middle = ((fraction - 0x6147A) | (0x6B851 - fraction)) > 0
    part = np.where(middle, s * (half + r), s * (f - r))
    near = np.where(middle, f - (half - part), f - part)
    far = np.where(middle, (half - (part + k * LN2_LOW)) - f, (part - k * LN2_LOW) - f)
    return np.where(k == 0, near, k * LN2_HIGH - far)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + x * total
    return total
