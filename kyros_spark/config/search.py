"""Settings of a search for a model's parameters: where, how many, how judged, when to stop."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import Section


class RangeSettings(Section):
    """Where a parameter may lie: one of some values, or between two, evenly or by its logarithm."""

    values: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> RangeSettings:
        given = self.low is not None and self.high is not None
        if bool(self.values) == given or (self.values and (self.low or self.high or self.log)):
            raise ValueError("give values, or low and high")
        if self.low is not None and self.high is not None:
            if not (self.low < self.high and math.isfinite(self.high - self.low)):
                raise ValueError("expected low below high")
            if self.log and self.low <= 0:
                raise ValueError("log: expected low above zero")
        return self

    def extremes(self) -> tuple[float, ...]:
        """Return the values that have to be ones the parameter takes, for all to be."""
        between = (self.low, self.high)
        return self.values or tuple(one for one in between if one is not None)


class SearchSettings(Section):
    """A search: trials of parameters from a space, each judged on folds of the training part.

    by         columns whose hash makes the folds (default: those of the split, or the key)
    plateau    stop after so many trials in a row that better the best by less than min_gain of it
    explosion  a trial is given up where a fold's deviance is above the intercept-only model's by
               this share, or no number; after max_explosions of these in a row, so is the search
    """

    method: Literal["random", "halving"] = "random"
    trials: int = Field(default=20, ge=2, le=10_000)
    folds: int = Field(default=3, ge=2, le=20)
    by: tuple[str, ...] = ()
    space: dict[str, RangeSettings]
    plateau: int = Field(default=10, ge=1)
    min_gain: float = Field(default=1e-4, ge=0)
    explosion: float = Field(default=0.1, ge=0)
    max_explosions: int = Field(default=5, ge=1)
    seed: int = 1

    @model_validator(mode="after")
    def _not_empty(self) -> SearchSettings:
        if not self.space:
            raise ValueError("space is empty: name parameters and where they may lie")
        return self
