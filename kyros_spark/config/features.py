"""Settings of the prepare stage: exposure, targets, the split and the features."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import NAME_PATTERN, RESERVED, Section, Text, alike
from kyros_spark.config.expressions import check_row_decides


class SplitSettings(Section):
    """The split: by shares of a hash of columns, or by an expression such as a column or period.

    ``sql`` gives train, valid or test, or values that ``parts`` maps to one of them; it may use
    what targets are made from if it is ``stratified``: each part then gets its share of claims.
    """

    by: tuple[str, ...] = ()
    sql: str | None = None
    parts: dict[Text, Literal["train", "valid", "test"]] = {}
    stratified: bool = False
    salt: str = "kyros"
    train: float = Field(default=0.7, gt=0.0, le=1.0)
    valid: float = Field(default=0.15, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _check_shares(self) -> SplitSettings:
        if bool(self.by) == (self.sql is not None):
            raise ValueError("give by (columns to hash) or sql (what says the part), not both")
        if self.stratified and self.sql is None:
            raise ValueError("stratified says of sql that it uses targets on purpose")
        if self.parts and self.sql is None:
            raise ValueError("parts maps what sql says; with by, give train and valid")
        if self.train + self.valid > 1.0 + 1e-9:
            raise ValueError(f"train + valid is {self.train + self.valid}, expected at most 1")
        return self


class ClaimSettings(Section):
    """How claims become targets: which claims count, and where an amount is capped."""

    count: str = "1"
    amount: str
    where: str = "true"
    cap: float | None = Field(default=None, gt=0)


class AgeSettings(Section):
    """The time from one date to another, in whole years, whole months, or days."""

    since: str = Field(alias="from")
    at: str
    unit: Literal["years", "months", "days"] = "years"


class FeatureSettings(Section):
    """One feature: a column or a SQL expression, used as a number, as levels, or cut into bins."""

    kind: Literal["numeric", "levels", "bins"]
    column: str | None = None
    sql: str | None = None
    log: str | None = None
    ratio: tuple[str, ...] = ()
    age: AgeSettings | None = None
    interaction: tuple[str, ...] = ()
    bins: tuple[float, ...] = ()
    quantiles: int | None = Field(default=None, ge=2, le=100)
    order: tuple[Text, ...] = ()
    base: Text | None = None
    rare: Literal["base", "other"] = "base"
    impute: Literal["mean", "median"] | float = "mean"
    precision: Literal["double", "float"] = "double"
    version: int = Field(default=1, ge=1)
    rating_use: bool = True
    available_at_scoring: bool = True
    cost: float | None = Field(default=None, ge=0)
    description: str = ""

    @property
    def may_rate(self) -> bool:
        """Tell whether a model may use it: allowed, and known when a policy is rated."""
        return self.rating_use and self.available_at_scoring

    @property
    def is_number(self) -> bool:
        """Tell whether table `prepared` holds a number: numeric, or bins learnt by train."""
        return self.kind == "numeric" or self.quantiles is not None

    @model_validator(mode="after")
    def _check_source(self) -> FeatureSettings:
        forms = ("column", "sql", "log", "ratio", "age", "interaction")
        used = [form for form in forms if getattr(self, form)]
        if len(used) > 1:
            raise ValueError(f"give {used[0]} or {used[1]}, not both")
        if self.ratio and len(self.ratio) != 2:
            raise ValueError(f"ratio: expected two columns, found {len(self.ratio)}")
        if self.interaction and (self.kind != "levels" or len(self.interaction) < 2):
            raise ValueError("interaction: expected kind: levels and two columns at least")
        if (self.log or self.ratio or self.age) and self.kind == "levels":
            raise ValueError("log, ratio and age are numbers: expected kind: numeric or bins")
        if self.order and self.kind != "levels":
            raise ValueError("order is for kind: levels")
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> FeatureSettings:
        if self.quantiles is not None and (self.kind != "bins" or self.bins):
            raise ValueError("quantiles (how many) belong to kind: bins, in the place of bins")
        if self.quantiles is None and (self.kind == "bins") != bool(self.bins):
            raise ValueError("bins (the inner cut points) belong to kind: bins, and only there")
        if list(self.bins) != sorted(set(self.bins)):
            raise ValueError(f"bins must rise strictly, found {list(self.bins)}")
        if self.base is not None and self.kind == "numeric":
            raise ValueError("base is for levels and bins")
        if self.base is not None and self.quantiles is not None:
            raise ValueError("base names a level, and quantiles have none before they are learnt")
        if self.rare != "base" and self.kind == "numeric":
            raise ValueError("rare is for levels and bins")
        if self.impute != "mean" and self.kind != "numeric":
            raise ValueError("impute is for kind: numeric; a missing level is a level of its own")
        if self.precision == "float" and not self.is_number:
            raise ValueError("precision is for numbers; a level's text has none")
        if isinstance(self.impute, float) and not math.isfinite(self.impute):
            raise ValueError(f"impute: expected mean, median or a number, found {self.impute}")
        if len(set(self.order)) != len(self.order):
            raise ValueError("order: a level occurs twice")
        return self


class PrepareSettings(Section):
    """The content of table `prepared`: exposure, targets, the split and the features."""

    exposure: str
    max_exposure: float = Field(default=1.0, gt=0)
    split: SplitSettings
    claims: ClaimSettings | None = None
    targets: dict[str, str] = {}
    features: dict[str, FeatureSettings]
    rows_per_micro_batch: int = Field(default=10_000_000, ge=1)

    @model_validator(mode="after")
    def _check_names(self) -> PrepareSettings:
        fixed = RESERVED | {"exposure", "claim_count", "claim_amount", "claim_excess"}
        for name in (*self.features, *self.targets):
            if not NAME_PATTERN.match(name) or name.startswith("_") or name.lower() in fixed:
                raise ValueError(f"'{name}' is reserved or not a plain SQL name")
        shared = set(self.features) & set(self.targets)
        if shared:
            raise ValueError(f"a target cannot be a feature: {sorted(shared)}")
        if twice := alike([*self.features, *self.targets]):
            raise ValueError(f"names differ by case only: {', '.join(twice)} (SQL ignores case)")
        if not self.features:
            raise ValueError("features is empty")
        return self

    @model_validator(mode="after")
    def _check_expressions(self) -> PrepareSettings:
        check_row_decides("exposure", self.exposure)
        check_row_decides("split.sql", self.split.sql)
        for name, sql in self.targets.items():
            check_row_decides(f"targets.{name}", sql)
        for name, feature in self.features.items():
            check_row_decides(f"features.{name}.sql", feature.sql)
        if self.claims is not None:
            check_row_decides("claims.count", self.claims.count)
            check_row_decides("claims.amount", self.claims.amount)
            check_row_decides("claims.where", self.claims.where)
        return self

    def defining(self) -> dict[str, Any]:
        """Return the settings that the rows depend on; the size of a micro-batch changes no row."""
        return self.model_dump(mode="json", exclude={"rows_per_micro_batch"})
