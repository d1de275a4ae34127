"""Say what a model is, apart from its numbers: the manifest inside every model file."""

from collections import Counter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 2  # 2 adds category sets, several outputs, divisor and sigmoid

Family = Literal[
    "poisson", "gamma", "tweedie", "negative_binomial", "binomial", "gaussian", "multinomial"
]
Link = Literal["log", "identity", "logit", "softmax"]
# How a number becomes a category: rounded to zero (LightGBM), down (XGBoost), or only if whole.
CategoryRule = Literal["truncate", "floor", "whole"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Source(_Closed):
    """The library that fitted the model."""

    library: str
    version: str


class Feature(_Closed):
    """One input of the model, in the form the kernels receive it.

    A numeric feature arrives as a float, NaN when missing. A levels feature arrives as a code:
    `levels[k]` has code k, the base level is code 0; `missing` names the level that stands for a
    missing value. `impute` replaces a missing number in a linear model. A level that is not among
    `levels` takes the base level's code, or is missing where `unseen` says so.
    """

    name: str = Field(min_length=1)
    kind: Literal["numeric", "levels"] = "numeric"
    levels: tuple[str, ...] = ()
    missing: str | None = None
    unseen: Literal["base", "missing"] = "base"
    impute: float | None = Field(default=None, allow_inf_nan=False)
    definition_hash: str = ""

    @model_validator(mode="after")
    def _levels_agree(self) -> "Feature":
        if (self.kind == "levels") != bool(self.levels):
            found = f"kind {self.kind} with {len(self.levels)} levels"
            raise ValueError(f"feature {self.name}: {found}")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError(f"feature {self.name}: a level occurs twice")
        if self.missing is not None and self.missing not in self.levels:
            raise ValueError(f"feature {self.name}: missing level {self.missing!r} is not a level")
        return self


class Output(_Closed):
    """One of several outputs: a class and what its sum starts from."""

    label: str = Field(min_length=1)
    intercept: float = Field(default=0.0, allow_inf_nan=False)


class Manifest(_Closed):
    """Everything about a model that is not an array.

    raw score = (intercept + offset + sum over trees or tables) / divisor; response = inverse
    link(sigmoid * raw score). For trees the intercept is what the library starts its sum from
    (after the link). `outputs` is empty for a model of one output; a model of several has an
    intercept for each there, and takes no offset.
    """

    format_version: int = FORMAT_VERSION
    name: str = Field(min_length=1)
    kind: Literal["trees", "glm"]
    source: Source
    family: Family
    link: Link
    target: str
    per: str | None = None
    objective: str | None = None
    intercept: float = Field(allow_inf_nan=False)
    divisor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    sigmoid: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    outputs: tuple[Output, ...] = ()
    category_rule: CategoryRule = "whole"
    features: tuple[Feature, ...]
    feature_spec_hash: str = ""
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> "Manifest":
        names = [feature.name for feature in self.features]
        twice = sorted({name for name, count in Counter(names).items() if count > 1})
        if twice:
            raise ValueError(f"features occur twice: {', '.join(twice)}")
        labels = {output.label for output in self.outputs}
        if len(labels) != len(self.outputs) or len(labels) == 1:
            raise ValueError("outputs: expected none, or two and more with different labels")
        if self.outputs and (self.kind != "trees" or self.intercept):
            raise ValueError("outputs: for trees only, each with an intercept of its own")
        if self.link == "softmax" and not self.outputs:
            raise ValueError("link softmax: expected several outputs")
        return self
