"""Settings of what a model may cost; a model over budget is refused, however accurate it is."""

from __future__ import annotations

from pydantic import Field

from kyros_spark.config.base import Section


class BudgetSettings(Section):
    """The limits of a model's cost, measured on one core of the training or importing machine."""

    min_rows_per_second: float | None = Field(default=None, gt=0)
    max_model_bytes: int | None = Field(default=None, gt=0)
    max_first_score_seconds: float | None = Field(default=None, gt=0)
