"""Settings of what `kyros plan` estimates."""

from pydantic import Field

from kyros_spark.config.base import Section


class PlanSettings(Section):
    """The price of one hour of the cluster, and its currency."""

    price_per_hour: float | None = Field(default=None, ge=0)
    currency: str = ""
