"""Evaluate a GLM at given coefficients on blocks of rows: normal equations, sums, likelihood."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from kyros_spark.fitting.design import Block, Layout
from kyros_spark.kernels import normal_equations as kernels
from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.likelihood import log_likelihood

BLOCK_ROWS = 16_384  # a block's rows and working arrays stay in a core's cache


@dataclass(frozen=True)
class Family:
    """An error distribution and a link: variance mu^power, or mu + mu^2 / theta."""

    power: float
    link: str = "log"
    theta: float | None = None

    @property
    def alpha(self) -> float:
        """1 / theta; zero without one."""
        return 0.0 if self.theta is None else 1.0 / self.theta

    @property
    def has_dispersion(self) -> bool:
        """Tell whether a dispersion is estimated; Poisson and negative binomial fix it at 1."""
        return self.power != 1.0


@dataclass(frozen=True)
class Equations:
    """A GLM at given coefficients: X'WX, X'score, deviance and Pearson's chi-square."""

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
    """What each column's rows hold, by column of the design; a number's are those of all rows.

    faults: rows that cannot be fitted, by what is wrong with them.
    """

    rows: np.ndarray
    exposure: np.ndarray
    observed: np.ndarray
    weight: float
    faults: dict[str, int]

    def __add__(self, other: LevelSums) -> LevelSums:
        """Return the sums of both sets of rows."""
        faults = {name: count + other.faults[name] for name, count in self.faults.items()}
        return LevelSums(
            self.rows + other.rows,
            self.exposure + other.exposure,
            self.observed + other.observed,
            self.weight + other.weight,
            faults,
        )


def equations_of(block: Block, layout: Layout, law: Family, coefficients: np.ndarray) -> Equations:
    """Return the equations of a block, all columns of the design in them."""
    size, rows = len(layout.columns), block.label.size
    gram, gradient, sums = np.zeros((size, size)), np.zeros(size), np.zeros(2)
    information, score = np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS)
    work = _compiled(kernels.working)
    add = _compiled(kernels.cross_products)
    for first in range(0, rows, BLOCK_ROWS):
        part = slice(first, min(first + BLOCK_ROWS, rows))
        eta = _predicted(block, layout, coefficients, part)
        info, scores = information[: eta.size], score[: eta.size]
        link = kernels.LOG if law.link == "log" else kernels.IDENTITY
        labels, weights = block.label[part], block.weight[part]
        here = np.zeros(2)  # block by block: rounding then grows with their number, not the rows'
        work(labels, weights, eta, link, law.power, law.alpha, info, scores, here)
        sums += here
        if not np.isfinite(sums[0]):
            break
        add(block.places[part], block.numbers[part], layout.number_place, info, scores, gram,
            gradient)  # fmt: skip
    return Equations(gram, gradient, float(sums[0]), float(sums[1]))


def whole(equations: Equations, layout: Layout) -> Equations:
    """Return the equations with both halves of X'WX, and the constant beside each indicator."""
    half = equations.gram
    gram = half + half.T
    np.fill_diagonal(gram, half.diagonal())
    levels = [place for place, column in enumerate(layout.columns) if column.level is not None]
    gram[0, levels] = gram[levels, 0] = half.diagonal()[levels]
    return Equations(gram, equations.gradient, equations.deviance, equations.pearson)


def likelihood_of(
    block: Block, layout: Layout, law: Family, coefficients: np.ndarray, dispersion: float
) -> float:
    """Return the log-likelihood of a block's rows."""
    total, add = 0.0, _compiled(log_likelihood)
    for first in range(0, block.label.size, BLOCK_ROWS):
        part = slice(first, min(first + BLOCK_ROWS, block.label.size))
        eta = _predicted(block, layout, coefficients, part)
        mean = np.exp(eta) if law.link == "log" else eta
        labels, weights = block.label[part], block.weight[part]
        total += add(labels, weights, mean, law.power, law.alpha, dispersion)
    return float(total)


def level_sums_of(block: Block, layout: Layout, law: Family) -> LevelSums:
    """Return what a block's rows hold by column: rows, weight times exp(offset), weighted label."""
    exposure = block.weight * np.exp(block.offset)
    observed = block.weight * block.label
    found = []
    for values in (np.ones_like(exposure), exposure, observed):
        sums = np.full(len(layout.columns), values.sum())
        for f, (start, levels) in enumerate(
            zip(layout.factor_start, layout.factor_levels, strict=True)
        ):
            counts = np.bincount(block.places[:, f] - start, values, int(levels))
            sums[start : start + levels] = counts
        found.append(sums)
    return LevelSums(found[0], found[1], found[2], float(block.weight.sum()),
                     _faults(block, layout, law))  # fmt: skip


def _faults(block: Block, layout: Layout, law: Family) -> dict[str, int]:
    finite = {name: np.isfinite(block.numbers[:, k]) for k, name in enumerate(layout.numbers)}
    finite |= {name: np.isfinite(values) for name, values in
               (("label", block.label), ("offset", block.offset))}  # fmt: skip
    low = block.label <= 0 if law.power == 2.0 else block.label < 0
    return {
        **{f"{name} is not a finite number": int((~good).sum()) for name, good in finite.items()},
        "weight is not above zero": int((~((block.weight > 0) & (block.weight < np.inf))).sum()),
        f"label is {'not above' if law.power == 2.0 else 'below'} zero": int(low.sum()),
    }


def _predicted(block: Block, layout: Layout, coefficients: np.ndarray, part: slice) -> np.ndarray:
    eta = np.empty(part.stop - part.start)
    predict = _compiled(kernels.linear_predictor)
    predict(block.places[part], block.numbers[part], layout.number_place, coefficients,
            block.offset[part], eta)  # fmt: skip
    return eta


@functools.cache
def _signatures() -> dict[Callable[..., Any], Sequence[Any]]:
    one, two = writable("f8"), writable("f8", 2)
    places, whole_numbers, real = writable("i4", 2), writable("i8"), types.float64
    return {
        kernels.linear_predictor: (places, two, whole_numbers, one, one, one),
        kernels.working: (one, one, one, types.int64, real, real, one, one, one),
        kernels.cross_products: (places, two, whole_numbers, one, one, two, one),
        log_likelihood: (one, one, one, real, real, real),
    }


def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return compiled(kernel, *_signatures()[kernel])
