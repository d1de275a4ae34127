"""Settings of the evaluate stage: how models are judged on a batch, and what the report shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kyros_spark.config.base import Section, Text
from kyros_spark.config.quality import BoundSettings

Measure = Literal["actual_expected", "balance", "gini", "psi"]


class JudgedSettings(Section):
    """The target that predictions are judged against, where neither registry nor parts state it."""

    target: str
    per: str = "exposure"
    family: Literal["poisson", "gamma", "tweedie", "binomial"]
    tweedie_power: float = Field(default=1.5, gt=1.0, lt=2.0)


class ThresholdSettings(Section):
    """Bounds of a model's measures on a batch, each a column of `evaluation_metrics`.

    None bounds nothing. A bound that is given takes the place of the default, with both its ends.
    models    bounds of single models by name, in place of those of all models
    """

    actual_expected: BoundSettings | None = BoundSettings(min=0.95, max=1.05)
    balance: BoundSettings | None = None
    gini: BoundSettings | None = None
    psi: BoundSettings | None = BoundSettings(max=0.25)
    # By measure rather than by field, so that "not given" and "none" differ in the settings' hash.
    models: dict[str, dict[Measure, BoundSettings | None]] = {}

    def of(self, model: str) -> dict[Measure, BoundSettings]:
        """Return the bounds of a model by measure: its own, or else those of all models."""
        common: dict[Measure, BoundSettings | None] = {
            "actual_expected": self.actual_expected,
            "balance": self.balance,
            "gini": self.gini,
            "psi": self.psi,
        }
        bounds = common | self.models.get(model, {})
        return {measure: bound for measure, bound in bounds.items() if bound is not None}


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
    two_way: tuple[tuple[Text, Text], ...] = ()
    judged: dict[str, JudgedSettings] = {}
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    report: bool | str = True
    # Of the rows that have units, those without a target, in a batch whose targets are known.
    left_out_warning_share: float = Field(default=0.01, ge=0, le=1)
    max_left_out_share: float = Field(default=1.0, ge=0, le=1)
    thresholds: ThresholdSettings = ThresholdSettings()
    fail_on_threshold: bool = False
