"""Settings of what a model may cost: one over budget is refused, however accurate."""

from __future__ import annotations

from pydantic import Field

from kyros_spark.config.base import Section


class BudgetSettings(Section):
    """What a model is measured against on one core of the machine that trains or imports it."""

    min_rows_per_second: float | None = Field(default=None, gt=0)
    max_model_bytes: int | None = Field(default=None, gt=0)
    max_first_score_seconds: float | None = Field(default=None, gt=0)
