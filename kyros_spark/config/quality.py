"""Settings of what a model must reach to become champion, declared before it is trained."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kyros_spark.config.base import Section

_METRIC = re.compile(
    r"^(train|valid|test)_(rows|deviance|null_deviance|d2|balance|log_loss|brier)\Z"
)


class BoundSettings(Section):
    """The bounds of a metric; one of the two may be left out."""

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_bounds(self) -> BoundSettings:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class ChallengeSettings(Section):
    """How a model must compare with the champion it would replace, on the same data.

    tolerance    the share of the champion's value by which the model may be worse
    """

    metric: Literal["valid_deviance", "valid_d2", "test_deviance", "test_d2"] = "test_deviance"
    tolerance: float = Field(default=0.0, ge=0, lt=1)


def _check_metrics(quality: dict[str, BoundSettings]) -> dict[str, BoundSettings]:
    for name in quality:
        if not _METRIC.match(name):
            raise ValueError(
                f"'{name}' is no metric of a model; expected train_, valid_ or test_ before rows, "
                "deviance, null_deviance, d2, balance, or of family binomial log_loss or brier"
            )
    return quality


Quality = Annotated[dict[str, BoundSettings], AfterValidator(_check_metrics)]
