"""Settings of what `kyros plan` estimates."""

from pydantic import Field

from kyros_spark.config.base import Section


class PlanSettings(Section):
    """What an hour of the cluster costs, in what currency."""

    price_per_hour: float | None = Field(default=None, ge=0)
    currency: str = ""
