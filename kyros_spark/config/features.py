"""Settings of the prepare stage: exposure, targets, the split and the features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import NAME_PATTERN, RESERVED, Section, Text, alike


class SplitSettings(Section):
    """The deterministic split: shares of a hash of the key columns."""

    by: tuple[str, ...]
    salt: str = "kyros"
    train: float = Field(default=0.7, gt=0.0, le=1.0)
    valid: float = Field(default=0.15, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _shares(self) -> SplitSettings:
        if self.train + self.valid > 1.0 + 1e-9:
            raise ValueError(f"train + valid is {self.train + self.valid}, expected at most 1")
        return self


class ClaimSettings(Section):
    """How claims become targets: which of them count, and where an amount is capped."""

    count: str = "1"
    amount: str
    where: str = "true"
    cap: float | None = Field(default=None, gt=0)


class FeatureSettings(Section):
    """One feature: a column or a SQL expression, as a number, as levels, or cut into bins."""

    kind: Literal["numeric", "levels", "bins"]
    column: str | None = None
    sql: str | None = None
    bins: tuple[float, ...] = ()
    base: Text | None = None
    description: str = ""

    @model_validator(mode="after")
    def _complete(self) -> FeatureSettings:
        if self.column is not None and self.sql is not None:
            raise ValueError("give column or sql, not both")
        if (self.kind == "bins") != bool(self.bins):
            raise ValueError("bins (the inner cut points) belong to kind: bins, and only there")
        if list(self.bins) != sorted(set(self.bins)):
            raise ValueError(f"bins must rise strictly, found {list(self.bins)}")
        if self.base is not None and self.kind == "numeric":
            raise ValueError("base is for levels and bins")
        return self


class PrepareSettings(Section):
    """What a model may see: exposure, targets, the split and the features."""

    exposure: str
    max_exposure: float = Field(default=1.0, gt=0)
    split: SplitSettings
    claims: ClaimSettings | None = None
    targets: dict[str, str] = {}
    features: dict[str, FeatureSettings]

    @model_validator(mode="after")
    def _names(self) -> PrepareSettings:
        fixed = RESERVED | {"exposure", "claim_count", "claim_amount", "claim_excess"}
        for name in (*self.features, *self.targets):
            if not NAME_PATTERN.match(name) or name.startswith("_") or name.lower() in fixed:
                raise ValueError(f"'{name}' is reserved or not a plain SQL name")
        both = set(self.features) & set(self.targets)
        if both:
            raise ValueError(f"a target cannot be a feature: {sorted(both)}")
        if twice := alike([*self.features, *self.targets]):
            raise ValueError(f"names differ by case only: {', '.join(twice)} (SQL ignores case)")
        if not self.features:
            raise ValueError("features is empty")
        return self
