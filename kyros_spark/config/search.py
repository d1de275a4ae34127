"""Settings of a parameter search: the space, the trials, the folds, and when to stop."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import Section


class RangeSettings(Section):
    """The range of a parameter: a list of values, or an interval, uniform or log-uniform."""

    values: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _check_form(self) -> RangeSettings:
        bounded = self.low is not None and self.high is not None
        if bool(self.values) == bounded or (self.values and (self.low or self.high or self.log)):
            raise ValueError("give values, or low and high")
        if self.low is not None and self.high is not None:
            if not (self.low < self.high and math.isfinite(self.high - self.low)):
                raise ValueError("expected low below high")
            if self.log and self.low <= 0:
                raise ValueError("log: expected low above zero")
        return self

    def extremes(self) -> tuple[float, ...]:
        """Return the values to validate: if the parameter accepts these, it accepts the range."""
        ends = (self.low, self.high)
        return self.values or tuple(end for end in ends if end is not None)


class SearchSettings(Section):
    """A search: trials of parameters from a space, each judged on folds of the training part.

    by         columns whose hash makes the folds (default: those of the split, or the key)
    plateau    the search stops after this many trials in a row that each improve the best
               deviance by less than the share min_gain
    explosion  a trial is abandoned once a fold's deviance exceeds that of the intercept-only
               model by this share, or is not a number; the search is abandoned after
               max_explosions such trials in a row
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
    def _check_space(self) -> SearchSettings:
        if not self.space:
            raise ValueError("space is empty: name parameters and where they may lie")
        return self
