"""Define the manifest inside every model file: all of a model except its arrays."""

import math
from collections import Counter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Version 2 adds category sets, several outputs, divisor and sigmoid. Version 3 adds rebalance,
# load, composites, interval, cuts, base_code and `unseen: other`. Version 4 adds covers. Version 5
# adds segments.
FORMAT_VERSION = 5
OTHER_LEVEL = "(other)"
MISSING_LEVEL = "(missing)"

Family = Literal[
    "poisson", "gamma", "tweedie", "negative_binomial", "binomial", "gaussian", "multinomial"
]
Link = Literal["log", "identity", "logit", "softmax"]
# How a number becomes a category: rounded towards zero (LightGBM), rounded down (XGBoost), or only
# when it is whole.
CategoryRule = Literal["truncate", "floor", "whole"]


class _Closed(BaseModel):
    """A frozen part of the manifest that takes no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Source(_Closed):
    """The library that fitted the model."""

    library: str
    version: str


class Feature(_Closed):
    """One input of the model, in the form the kernels receive it.

    A numeric feature arrives as a float, NaN when missing. A levels feature arrives as a code:
    `levels[k]` has code k, and `base_code` is the base level's. `missing` names the level that
    stands for a missing value. `impute` replaces a missing number in a linear model. `unseen` says
    what becomes of a level that is not among `levels`: it takes the base level's code or that of
    OTHER_LEVEL, or counts as missing. `cuts` are inner cut points: the feature is then a number in
    table prepared, and its levels are the labels of its bins.
    """

    name: str = Field(min_length=1)
    kind: Literal["numeric", "levels"] = "numeric"
    levels: tuple[str, ...] = ()
    base_code: int = Field(default=0, ge=0)
    cuts: tuple[float, ...] = ()
    missing: str | None = None
    unseen: Literal["base", "missing", "other"] = "base"
    impute: float | None = Field(default=None, allow_inf_nan=False)
    definition_hash: str = ""

    @model_validator(mode="after")
    def _levels_agree(self) -> "Feature":
        if (self.kind == "levels") != bool(self.levels):
            mismatch = f"kind {self.kind} with {len(self.levels)} levels"
            raise ValueError(f"feature {self.name}: {mismatch}")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError(f"feature {self.name}: a level occurs twice")
        if self.missing is not None and self.missing not in self.levels:
            raise ValueError(f"feature {self.name}: missing level {self.missing!r} is not a level")
        if self.unseen == "other" and OTHER_LEVEL not in self.levels:
            raise ValueError(f"feature {self.name}: unseen levels go to no level {OTHER_LEVEL!r}")
        if self.base_code >= max(len(self.levels), 1):
            raise ValueError(f"feature {self.name}: base_code {self.base_code} is no level's code")
        return self

    @model_validator(mode="after")
    def _cuts_rise(self) -> "Feature":
        if self.cuts and self.kind != "levels":
            raise ValueError(f"feature {self.name}: cuts are of levels, found kind {self.kind}")
        if not all(map(math.isfinite, self.cuts)) or list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError(f"feature {self.name}: cuts must rise, found {list(self.cuts)}")
        return self

    @property
    def unseen_code(self) -> int:
        """The code of a level not among `levels`, unless such a level counts as missing."""
        return self.levels.index(OTHER_LEVEL) if self.unseen == "other" else self.base_code

    @property
    def unseen_as(self) -> str:
        """What a level not among `levels` scores as, in words."""
        if self.unseen == "missing":
            return "missing"
        return repr(OTHER_LEVEL) if self.unseen == "other" else f"{self.levels[self.base_code]!r}"

    @property
    def needs_version(self) -> int:
        """The first format version that can describe this feature."""
        return 3 if self.cuts or self.base_code or self.unseen == "other" else 1


class ModelOutput(_Closed):
    """One of several outputs: a class and the value that its sum starts from."""

    label: str = Field(min_length=1)
    intercept: float = Field(default=0.0, allow_inf_nan=False)


class PredictionInterval(_Closed):
    """A prediction interval at a level, learnt on `rows` rows of the validation part.

    A value observed over w units of `per` is expected between prediction + below * spread and
    prediction + above * spread, where spread = prediction ** (power / 2) / sqrt(w).
    """

    level: float = Field(gt=0, lt=1)
    method: Literal["conformal"] = "conformal"
    below: float = Field(allow_inf_nan=False)
    above: float = Field(allow_inf_nan=False)
    power: float = Field(ge=0, le=3)
    rows: int = Field(ge=1)


class Part(_Closed):
    """A registered model that a composite is made of, pinned by version and file hash.

    role  factor: multiplied into the composite's product; beside: an alternative that is only
          scored along with it
    """

    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    sha256: str
    role: Literal["factor", "beside"] = "factor"


class Manifest(_Closed):
    """Everything about a model that is not an array.

    raw score = (intercept + offset + sum over trees or tables) / divisor
    response  = inverse link(sigmoid * raw score) * rebalance + large_loss_load

    The load is in the target's unit per unit of `per`. For trees, the intercept is the value that
    the library starts its sum from, on the scale of the link. `outputs` is empty for a model of one
    output. A model of several outputs has one intercept per output there, and takes no offset. A
    composite has no score of its own: its response is the product of its factors' responses *
    rebalance + large_loss_load. The last features of a GLM may be the keys of segments, ``by``;
    each segment has an intercept and tables of its own (model/segments.py).
    """

    format_version: int = FORMAT_VERSION
    name: str = Field(min_length=1)
    kind: Literal["trees", "glm", "composite"]
    source: Source
    family: Family
    link: Link
    target: str
    per: str | None = None
    objective: str | None = None
    intercept: float = Field(allow_inf_nan=False)
    divisor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    sigmoid: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    rebalance: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    large_loss_load: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    outputs: tuple[ModelOutput, ...] = ()
    category_rule: CategoryRule = "whole"
    parts: tuple[Part, ...] = ()
    interval: PredictionInterval | None = None
    features: tuple[Feature, ...]
    by: tuple[str, ...] = ()
    feature_spec_hash: str = ""
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> "Manifest":
        names = [feature.name for feature in self.features]
        repeated = sorted({name for name, count in Counter(names).items() if count > 1})
        if repeated:
            raise ValueError(f"features occur twice: {', '.join(repeated)}")
        least_version = max((feature.needs_version for feature in self.features), default=1)
        if self.format_version < least_version:
            raise ValueError(f"format_version: {self.format_version} has no cuts or base_code")
        labels = {output.label for output in self.outputs}
        if len(labels) != len(self.outputs) or len(labels) == 1:
            raise ValueError("outputs: expected none, or two and more with different labels")
        if self.outputs and (self.kind != "trees" or self.intercept):
            raise ValueError("outputs: for trees only, each with an intercept of its own")
        if self.outputs and (self.rebalance != 1.0 or self.large_loss_load):
            raise ValueError("outputs: a model of several is neither rebalanced nor loaded")
        if self.link == "softmax" and not self.outputs:
            raise ValueError("link softmax: expected several outputs")
        return self

    @model_validator(mode="after")
    def _keys_are_features(self) -> "Manifest":
        if not self.by:
            return self
        keys = self.features[len(self.features) - len(self.by) :]
        if self.kind != "glm" or tuple(key.name for key in keys) != self.by:
            raise ValueError("by: the last features of a glm, in their order")
        if any(not key.levels or key.unseen == "missing" for key in keys):
            raise ValueError("by: features with levels, of which an unseen one has a code")
        if self.format_version < 5:
            raise ValueError(f"format_version: {self.format_version} has no segments")
        return self

    @model_validator(mode="after")
    def _parts_belong(self) -> "Manifest":
        if (self.kind == "composite") != bool(self.parts):
            raise ValueError("parts: of a composite, and only there")
        if self.parts and (self.features or self.intercept or self.link != "identity"):
            raise ValueError("parts: a composite has no features, intercept or link of its own")
        return self
