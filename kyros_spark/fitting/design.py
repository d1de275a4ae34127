"""Lay out a GLM's design without ever making a dense row.

The design has a constant, one column per level and one column per number. Base levels have columns
too, which the solver leaves out. Numbers are centred and scaled for the fit, because raw numbers (a
car's value beside an indicator) make the normal equations ill-conditioned.

In the shapes below n is the number of rows, p that of the design's columns, `factors` that of the
features with levels and `numbers` that of the numeric features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kyros_spark.model.manifest import Feature

INTERCEPT = "(intercept)"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class DesignColumn:
    """A column of the design: its feature and its level (None for a number and the constant)."""

    feature: str
    level: str | None
    is_base: bool = False

    @property
    def label(self) -> str:
        """Return the column's name in messages."""
        return self.feature if self.level is None else f"{self.feature} = {self.level}"


@dataclass(frozen=True)
class Block:
    """Rows of a design.

    places   int32[n, factors], for each factor the design column that is 1
    numbers  float64[n, numbers], centred and scaled: in standard deviations
    label    float64[n], the target, or the target per unit where the offset is zero
    weight   float64[n], above zero
    offset   float64[n], on the scale of the linear predictor: log of the units for a log link
    """

    places: np.ndarray
    numbers: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Layout:
    """The columns of a design and where each feature's columns lie; column 0 is the constant.

    columns        all p columns in order
    factors        names of the features with levels
    factor_start   int64[factors], the column of each factor's first level
    factor_levels  int64[factors], the number of levels
    numbers        names of the numeric features
    number_place   int64[numbers], the column of each number
    centre, scale  float64[numbers], in the number's own unit; scale is above zero
    """

    columns: tuple[DesignColumn, ...]
    factors: tuple[str, ...]
    factor_start: np.ndarray
    factor_levels: np.ndarray
    numbers: tuple[str, ...]
    number_place: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @property
    def bases(self) -> list[int]:
        """The columns of the base levels."""
        return [index for index, column in enumerate(self.columns) if column.is_base]

    def block(
        self,
        codes: np.ndarray,
        numbers: np.ndarray,
        label: np.ndarray,
        weight: np.ndarray,
        offset: np.ndarray,
    ) -> Block:
        """Return rows as the kernels read them.

        codes    integer[n, factors], the level codes of each factor
        numbers  float64[n, numbers], as table prepared holds them, in their own units
        label, weight, offset  float64[n], see Block
        """
        return self.block_of(codes, list(numbers.T), (label, weight, offset))

    def block_of(
        self,
        codes: np.ndarray,
        columns: Sequence[np.ndarray],
        ends: Sequence[np.ndarray],
        out: np.ndarray | None = None,
    ) -> Block:
        """Return rows as the kernels read them, from one array per number.

        columns: float64[n] each; ends: label, weight and offset; see `block`
        out: float64[n, numbers], where the block's numbers are to lie
        """
        places = np.ascontiguousarray(codes + self.factor_start, np.int32)
        scaled = np.empty((len(places), len(self.numbers))) if out is None else out
        # Few rows at once: they stay in the cache from the first number to the last.
        for first in range(0, len(places), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            for k, values in enumerate(columns):
                np.subtract(values[part], self.centre[k], out=scaled[part, k])
            scaled[part] /= self.scale
        # Arrow's arrays are read-only and the kernels are compiled for writable ones: copy.
        return Block(places, scaled, *(np.array(values, np.float64) for values in ends))

    def unscaled(self) -> np.ndarray:
        """Return the matrix that turns the fit's coefficients into those of the unscaled numbers.

        float64[p, p]; multiply it by the coefficients, float64[p], from the left.
        """
        matrix = np.eye(len(self.columns))
        matrix[self.number_place, self.number_place] = 1.0 / self.scale
        matrix[0, self.number_place] = -self.centre / self.scale
        return matrix


def layout_of(
    features: Sequence[Feature], centre: Mapping[str, float], scale: Mapping[str, float]
) -> Layout:
    """Return the layout of fitted features.

    centre, scale: each number's mean and standard deviation, in its own unit. A number that never
    varies (scale 0) gets scale 1.
    """
    columns = [DesignColumn(INTERCEPT, None)]
    starts, levels, number_columns = [], [], []
    for feature in features:
        if feature.kind == "numeric":
            number_columns.append(len(columns))
            columns.append(DesignColumn(feature.name, None))
            continue
        starts.append(len(columns))
        levels.append(len(feature.levels))
        base = feature.base_code
        columns += [
            DesignColumn(feature.name, level, code == base)
            for code, level in enumerate(feature.levels)
        ]
    numbers = tuple(feature.name for feature in features if feature.kind == "numeric")
    return Layout(
        tuple(columns),
        tuple(feature.name for feature in features if feature.kind != "numeric"),
        np.array(starts, np.int64),
        np.array(levels, np.int64),
        numbers,
        np.array(number_columns, np.int64),
        np.array([centre[name] for name in numbers], np.float64),
        np.array([scale[name] or 1.0 for name in numbers], np.float64),
    )
