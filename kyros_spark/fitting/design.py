"""Lay out a GLM's design: the constant, a column a level, a column a number; never a dense row.

Every level has a column, the base level too; the solver leaves the base levels' out. Numbers are
centred and scaled for the fit: raw ones (a car's value beside an indicator) make the normal
equations ill-conditioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kyros_spark.model.manifest import Feature

INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class DesignColumn:
    """A column of the design: which feature's, and which level's (none for a number)."""

    feature: str
    level: str | None
    is_base: bool = False

    @property
    def label(self) -> str:
        """Return how messages name it."""
        return self.feature if self.level is None else f"{self.feature} = {self.level}"


@dataclass(frozen=True)
class Block:
    """Some rows of a design.

    places   int32[n, factors], the column that is 1, for each factor
    numbers  float64[n, numbers], centred and scaled
    label, weight, offset  float64[n]
    """

    places: np.ndarray
    numbers: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Layout:
    """Where each column of the design lies; column 0 is the constant."""

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
        return [place for place, column in enumerate(self.columns) if column.is_base]

    def block(
        self,
        codes: np.ndarray,
        numbers: np.ndarray,
        label: np.ndarray,
        weight: np.ndarray,
        offset: np.ndarray,
    ) -> Block:
        """Return rows as the kernels read them.

        codes    whole numbers [n, factors], each feature's levels by their codes
        numbers  float64[n, numbers], as table prepared holds them
        """
        places = np.ascontiguousarray(codes + self.factor_start, np.int32)
        scaled = np.ascontiguousarray((numbers - self.centre) / self.scale, np.float64)
        # Copies: what comes from Arrow is read-only, and kernels are compiled for what is not.
        return Block(places, scaled, *(np.array(a, np.float64) for a in (label, weight, offset)))

    def unscaled(self) -> np.ndarray:
        """Return the matrix that takes coefficients of the fit to those of the numbers as given."""
        back = np.eye(len(self.columns))
        back[self.number_place, self.number_place] = 1.0 / self.scale
        back[0, self.number_place] = -self.centre / self.scale
        return back


def layout_of(
    features: Sequence[Feature], centre: Mapping[str, float], scale: Mapping[str, float]
) -> Layout:
    """Return the layout of fitted features; a number that never changes has scale 1."""
    columns = [DesignColumn(INTERCEPT, None)]
    starts, levels, places = [], [], []
    for feature in features:
        if feature.kind == "numeric":
            places.append(len(columns))
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
        np.array(places, np.int64),
        np.array([centre[name] for name in numbers], np.float64),
        np.array([scale[name] or 1.0 for name in numbers], np.float64),
    )
