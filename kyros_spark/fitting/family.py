"""Describe a GLM's family as the solver takes it: variance function, link, dispersion."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """An error distribution and a link; the variance is mu^power, or mu + mu^2 / theta.

    With link logit it is the binomial, mu (1 - mu).
    """

    power: float
    link: str = "log"
    theta: float | None = None

    @property
    def alpha(self) -> float:
        """1 / theta; zero where there is no theta."""
        return 0.0 if self.theta is None else 1.0 / self.theta

    @property
    def is_binomial(self) -> bool:
        """Tell whether the mean is a probability."""
        return self.link == "logit"

    @property
    def events(self) -> str:
        """Return what errors call labels above zero."""
        return "outcomes of 1" if self.is_binomial else "claims"

    @property
    def has_dispersion(self) -> bool:
        """Tell whether a dispersion is estimated; those of counts and of the binomial are 1."""
        return self.power != 1.0

    def linear_predictor(self, mean: float) -> float:
        """Return the link of a mean."""
        if self.is_binomial:
            return math.log(mean / (1.0 - mean))
        return math.log(mean) if self.link == "log" else mean
