"""Settings of the evaluate stage: how models are judged on a batch, and what the report shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kyros_spark.config.base import Section, Text


class JudgedSettings(Section):
    """The target that predictions are judged against, where neither registry nor parts state it."""

    target: str
    per: str = "exposure"
    family: Literal["poisson", "gamma", "tweedie", "binomial"]
    tweedie_power: float = Field(default=1.5, gt=1.0, lt=2.0)


class EvaluateSettings(Section):
    """Which metrics are computed, by which factors and model pairs, on all rows or on a sample."""

    models: tuple[str, ...] = ()
    tier: Literal["fast", "full"] = "full"
    quantiles: int = Field(default=10, ge=2, le=100)
    sample_rows: int = Field(default=200_000, ge=100)
    factors: tuple[str, ...] | None = None
    max_levels: int = Field(default=200, ge=2)
    min_exposure: float = Field(default=0.0, ge=0)
    pairs: tuple[tuple[Text, Text], ...] = ()
    judged: dict[str, JudgedSettings] = {}
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    report: bool | str = True
    # Of the rows that have units, those without a target, in a batch whose targets are known.
    left_out_warning_share: float = Field(default=0.01, ge=0, le=1)
    max_left_out_share: float = Field(default=1.0, ge=0, le=1)
