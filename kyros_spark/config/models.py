"""Settings of the train and predict stages: which models, fitted how, applied together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import NAME_PATTERN, Section, Text


class GlmSettings(Section):
    """How the generalized linear model is fitted: by our own solver, or Spark MLlib's."""

    solver: Literal["irls", "mllib"] = "irls"
    link: Literal["log", "identity"] = "log"
    alpha: float = Field(default=0.0, ge=0)
    l1_ratio: float = Field(default=0.0, ge=0, le=1)
    max_iter: int = Field(default=50, ge=1)
    tol: float = Field(default=1e-8, gt=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)


class BoostingSettings(Section):
    """How xgboost.spark grows the trees."""

    rounds: int = Field(default=300, ge=1)
    early_stopping: int = Field(default=20, ge=0)
    max_depth: int = Field(default=4, ge=1, le=16)
    eta: float = Field(default=0.1, gt=0, le=1)
    min_child_weight: float = Field(default=20.0, ge=0)
    subsample: float = Field(default=1.0, gt=0, le=1)
    colsample: float = Field(default=1.0, gt=0, le=1)
    reg_lambda: float = Field(default=1.0, ge=0)
    max_bin: int = Field(default=256, ge=2)
    seed: int = 1
    workers: int = Field(default=1, ge=1)


class ModelSettings(Section):
    """One model: what it predicts, per what, from which features, fitted how."""

    method: Literal["glm", "boosting"]
    family: Literal["poisson", "gamma", "tweedie", "negative_binomial"]
    target: str
    per: str
    tweedie_power: Annotated[float, Field(gt=1.0, lt=2.0)] | Literal["profile"] = 1.5
    theta: Annotated[float, Field(gt=0.0)] | Literal["profile"] = "profile"
    features: tuple[str, ...] | None = None
    max_levels: int = Field(default=200, ge=2)
    min_level_share: float = Field(default=0.0005, ge=0, lt=0.5)
    glm: GlmSettings = GlmSettings()
    boosting: BoostingSettings = BoostingSettings()

    @model_validator(mode="after")
    def _fits_the_method(self) -> ModelSettings:
        profiled = self.family == "tweedie" and self.tweedie_power == "profile"
        if self.method == "boosting" or self.glm.solver == "mllib":
            who = "boosting" if self.method == "boosting" else "glm.solver: mllib"
            if self.family == "negative_binomial" or profiled:
                what = "tweedie_power: profile" if profiled else "family: negative_binomial"
                raise ValueError(f"{what} is for method: glm with glm.solver: irls, not {who}")
        if self.family == "negative_binomial" and self.glm.link != "log":
            raise ValueError("family: negative_binomial takes glm.link: log only")
        if self.glm.solver == "mllib" and self.glm.l1_ratio:
            raise ValueError("glm.l1_ratio is for glm.solver: irls; MLlib has a ridge only")
        return self


class TrainSettings(Section):
    """Which models are trained, on which batches, and what they become."""

    batches: tuple[Text, ...]
    status: Literal["candidate", "champion"] = "champion"
    models: dict[str, ModelSettings]

    @model_validator(mode="after")
    def _names(self) -> TrainSettings:
        for name in self.models:
            if not NAME_PATTERN.match(name):
                raise ValueError(f"model name '{name}' is not a plain name (letters, digits, _)")
        if not self.batches or not self.models:
            raise ValueError("train needs at least one batch and one model")
        return self


class PredictSettings(Section):
    """Which models are applied, and which products of them are written as one model."""

    models: tuple[str, ...] = ()
    products: dict[str, tuple[str, ...]] = {}
    kernel: Literal["auto", "avx512vbmi", "portable", "numpy"] = "auto"
    rows_per_arrow_batch: int = Field(default=20000, ge=100)
    unseen_warning_share: float = Field(default=0.01, ge=0, le=1)
