"""Say what a fit of segments needs, and what it gives: arrays that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kyros_spark.fitting.family import Family
from kyros_spark.fitting.irls import Stop
from kyros_spark.fitting.segments.columns import SegmentColumns
from kyros_spark.fitting.segments.reasons import FITTED


@dataclass(frozen=True)
class SegmentTask:
    """What is the same for every segment of a fit.

    law          float64[4], of the family; see kernels/small_fits.py
    min_rows, min_claims  below them a segment is not fitted
    ridge        float64[q], by column: the cost of b^2 / 2, times the segment's weight if by_weight
    to_parent    the ridge is 0 at the parent's coefficients, else at 0
    holds        levels without claims keep the parent's coefficient, instead of failing the segment
    centred      the constant's standard error is that of the scaled design
    claims       what min_claims counts: sums of the target, of the weight, or rows with a target
    """

    columns: SegmentColumns
    family: Family
    stop: Stop
    min_rows: int = 1
    min_claims: float = 0.0
    ridge: np.ndarray | None = None
    by_weight: bool = False
    to_parent: bool = False
    holds: bool = False
    centred: bool = False
    claims: Literal["target", "weight", "rows"] = "target"


@dataclass(frozen=True)
class SegmentFits:
    """The fits of S segments; columns in the kernels' order, q of them, scaled.

    reason        int64[S]: FITTED, or why not (reasons.py); the start's coefficients then
    coefficients, errors  float64[S, q]; an error is 0 where there is none
    active        uint8[S, q]: 1 for the columns solved for
    rows, exposure, observed  float64[S, q], totals of each column's rows
    claims, deviance, null_deviance, pearson, dispersion, iterations  float64[S]
    expected      float64[S, 3] at the start: sums of weight times mean, slope and variance
    """

    reason: np.ndarray
    coefficients: np.ndarray
    errors: np.ndarray
    active: np.ndarray
    rows: np.ndarray
    exposure: np.ndarray
    observed: np.ndarray
    claims: np.ndarray
    deviance: np.ndarray
    null_deviance: np.ndarray
    pearson: np.ndarray
    dispersion: np.ndarray
    iterations: np.ndarray
    expected: np.ndarray

    @property
    def is_fitted(self) -> np.ndarray:
        """Tell which segments have coefficients of their own, bool[S]."""
        return self.reason == FITTED
