"""Evaluate a GLM at given coefficients on blocks of rows: normal equations, sums, likelihood.

In the shapes below p is the number of columns of the design. Coefficients are float64[p] on the
scale of the linear predictor, of centred and scaled numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from kyros_spark.fitting.design import Block, Layout
from kyros_spark.fitting.family import Family
from kyros_spark.kernels import normal_equations as kernels
from kyros_spark.kernels.binomial import binomial_log_likelihood, binomial_working
from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.likelihood import log_likelihood

BLOCK_ROWS = 16_384  # a block's rows and working arrays stay in a core's cache
ENDS = 6  # of each number: see LevelSums


@dataclass(frozen=True)
class Equations:
    """A GLM's normal equations and sums at given coefficients.

    gram      float64[p, p], X'WX, W the expected information of each row
    gradient  float64[p], X'score
    deviance  weighted sum of unit deviances; infinite where a mean leaves the family's range
    pearson   Pearson's chi-square, the weighted sum of (y - mu)^2 / V(mu)
    """

    gram: np.ndarray
    gradient: np.ndarray
    deviance: float
    pearson: float

    def __add__(self, other: Equations) -> Equations:
        """Return the equations of both sets of rows."""
        return Equations(
            self.gram + other.gram,
            self.gradient + other.gradient,
            self.deviance + other.deviance,
            self.pearson + other.pearson,
        )


@dataclass(frozen=True)
class LevelSums:
    """Totals of the rows of each design column; a number and the constant have those of all rows.

    rows      float64[p], the count of rows
    exposure  float64[p], the sum of weight exp(offset): units of the model's ``per``
    observed  float64[p], the sum of weight times label
    weight    sum of the weights
    ends      float64[numbers, ENDS], of each number, as the design has it: its least value and its
              largest, negated, of all rows, of those with a label above 0, and of those below 1
    faults    number of rows that cannot be fitted, by the fault's description
    """

    rows: np.ndarray
    exposure: np.ndarray
    observed: np.ndarray
    weight: float
    ends: np.ndarray
    faults: dict[str, int]

    def __add__(self, other: LevelSums) -> LevelSums:
        """Return the sums of both sets of rows."""
        faults = {name: count + other.faults[name] for name, count in self.faults.items()}
        return LevelSums(
            self.rows + other.rows,
            self.exposure + other.exposure,
            self.observed + other.observed,
            self.weight + other.weight,
            np.minimum(self.ends, other.ends),
            faults,
        )


def equations_of(
    block: Block, layout: Layout, family: Family, coefficients: np.ndarray
) -> Equations:
    """Return the equations of a block over all p columns of the design.

    coefficients: float64[p]
    Each pair of columns is in one half of X'WX only, as the kernel writes it. `with_full_gram`
    fills in the other half once all blocks are added up.
    """
    size, rows = len(layout.columns), block.label.size
    gram, gradient, sums = np.zeros((size, size)), np.zeros(size), np.zeros(2)
    information, score = np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS)
    working = _working(family)
    cross_products = _compiled(kernels.cross_products)
    for first in range(0, rows, BLOCK_ROWS):
        part = slice(first, min(first + BLOCK_ROWS, rows))
        eta = _predicted(block, layout, coefficients, part)
        info, scores = information[: eta.size], score[: eta.size]
        # Summed per block: rounding then grows with the number of blocks, not of rows.
        block_sums = np.zeros(2)
        working(block.label[part], block.weight[part], eta, info, scores, block_sums)
        sums += block_sums
        if not np.isfinite(sums[0]):
            break
        cross_products(block.places[part], block.numbers[part], layout.number_place, info, scores,
                       gram, gradient)  # fmt: skip
    return Equations(gram, gradient, float(sums[0]), float(sums[1]))


def _working(family: Family) -> Callable[..., None]:
    """Return the kernel that writes the information and score of rows, given their family."""
    if family.is_binomial:
        return _compiled(binomial_working)
    kernel = _compiled(kernels.working)
    link = kernels.LOG if family.link == "log" else kernels.IDENTITY

    def working(label: np.ndarray, weight: np.ndarray, eta: np.ndarray, *out: np.ndarray) -> None:
        kernel(label, weight, eta, link, family.power, family.alpha, *out)

    return working


def with_full_gram(equations: Equations, layout: Layout) -> Equations:
    """Return the equations with both halves of X'WX.

    The constant's products with the indicators, which the kernel leaves out, equal the indicators'
    diagonal.
    """
    half = equations.gram
    gram = half + half.T
    np.fill_diagonal(gram, half.diagonal())
    levels = [index for index, column in enumerate(layout.columns) if column.level is not None]
    gram[0, levels] = gram[levels, 0] = half.diagonal()[levels]
    return Equations(gram, equations.gradient, equations.deviance, equations.pearson)


def likelihood_of(
    block: Block, layout: Layout, family: Family, coefficients: np.ndarray, dispersion: float
) -> float:
    """Return the log-likelihood of a block's rows, in nats with every constant.

    coefficients: float64[p]; dispersion: phi, above zero, in Var(y) = phi V(mu) / weight
    """
    total = 0.0
    for first in range(0, block.label.size, BLOCK_ROWS):
        part = slice(first, min(first + BLOCK_ROWS, block.label.size))
        eta = _predicted(block, layout, coefficients, part)
        total += likelihood_at(block.label[part], block.weight[part], eta, family, dispersion)
    return total


def likelihood_at(
    label: np.ndarray, weight: np.ndarray, eta: np.ndarray, family: Family, dispersion: float
) -> float:
    """Return the log-likelihood of rows, float64[n] each, by their linear predictor."""
    if family.is_binomial:
        return float(_compiled(binomial_log_likelihood)(label, weight, eta))
    mean = np.exp(eta) if family.link == "log" else eta
    likelihood = _compiled(log_likelihood)
    return float(likelihood(label, weight, mean, family.power, family.alpha, dispersion))


def level_sums_of(block: Block, layout: Layout, family: Family) -> LevelSums:
    """Return the totals of a block's rows by column of the design."""
    exposure = block.weight * np.exp(block.offset)
    observed = block.weight * block.label
    by_column = []
    for values in (np.ones_like(exposure), exposure, observed):
        sums = np.full(len(layout.columns), values.sum())
        for f, (start, levels) in enumerate(
            zip(layout.factor_start, layout.factor_levels, strict=True)
        ):
            counts = np.bincount(block.places[:, f] - start, values, int(levels))
            sums[start : start + levels] = counts
        by_column.append(sums)
    return LevelSums(by_column[0], by_column[1], by_column[2], float(block.weight.sum()),
                     _ends(block), _faults(block, layout, family))  # fmt: skip


def _ends(block: Block) -> np.ndarray:
    """Return each number's ends: see LevelSums. Where there are no rows they are infinite."""
    above, below = block.numbers[block.label > 0], block.numbers[block.label < 1]
    parts = (block.numbers, -block.numbers, above, -above, below, -below)
    return np.column_stack([part.min(axis=0, initial=np.inf) for part in parts])


def _faults(block: Block, layout: Layout, family: Family) -> dict[str, int]:
    """Return how many rows have each fault; no fault is left out, so that sums can be added."""
    finite = {name: np.isfinite(block.numbers[:, k]) for k, name in enumerate(layout.numbers)}
    finite |= {name: np.isfinite(values) for name, values in
               (("label", block.label), ("offset", block.offset))}  # fmt: skip
    low = block.label <= 0 if family.power == 2.0 else block.label < 0
    high = {"label is above one": int((block.label > 1).sum())} if family.is_binomial else {}
    return {
        **{f"{name} is not a finite number": int((~good).sum()) for name, good in finite.items()},
        "weight is not above zero": int((~((block.weight > 0) & (block.weight < np.inf))).sum()),
        f"label is {'not above' if family.power == 2.0 else 'below'} zero": int(low.sum()),
        **high,
    }


def _predicted(block: Block, layout: Layout, coefficients: np.ndarray, part: slice) -> np.ndarray:
    """Return the linear predictor of some rows of a block: offset + x'beta, float64[rows]."""
    eta = np.empty(part.stop - part.start)
    predict = _compiled(kernels.linear_predictor)
    predict(block.places[part], block.numbers[part], layout.number_place, coefficients,
            block.offset[part], eta)  # fmt: skip
    return eta


@functools.cache
def _signatures() -> dict[Callable[..., Any], Sequence[Any]]:
    vector, matrix = writable("f8"), writable("f8", 2)
    places, indices, real = writable("i4", 2), writable("i8"), types.float64
    return {
        kernels.linear_predictor: (places, matrix, indices, vector, vector, vector),
        kernels.working: (vector, vector, vector, types.int64, real, real, vector, vector, vector),
        kernels.cross_products: (places, matrix, indices, vector, vector, matrix, vector),
        log_likelihood: (vector, vector, vector, real, real, real),
        binomial_working: (vector, vector, vector, vector, vector, vector),
        binomial_log_likelihood: (vector, vector, vector),
    }


def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return compiled(kernel, *_signatures()[kernel])
