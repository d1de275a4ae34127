"""Settings of the train stage: which models, and how they are fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import Section, Text, check_name
from kyros_spark.config.families import check_link, check_own, with_logit
from kyros_spark.config.quality import ChallengeSettings, Quality
from kyros_spark.config.search import SearchSettings
from kyros_spark.config.segments import Credibility, check_segments
from kyros_spark.config.tracking import MlflowSettings

# The extra parameter of a family, which a fit may choose.
OWN_PARAMETERS = {"tweedie": "tweedie_power", "negative_binomial": "theta"}


class GlmSettings(Section):
    """How the generalised linear model is fitted: by our own solver or by Spark MLlib's."""

    solver: Literal["irls", "mllib"] = "irls"
    link: Literal["log", "identity", "logit"] = "log"  # logit: of family binomial, its default
    alpha: float = Field(default=0.0, ge=0)
    l1_ratio: float = Field(default=0.0, ge=0, le=1)
    max_iter: int = Field(default=50, ge=1)
    tol: float = Field(default=1e-8, gt=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)


class BoostingSettings(Section):
    """How xgboost grows the trees, in the driver's process or, with many rows, on Spark.

    monotone      numeric features along which the score only rises (1) or only falls (-1)
    categorical   levels are categories, split by sets, rather than codes in order of exposure
    interactions  groups of features; a path down a tree stays within one group
    workers       Spark tasks that fit together; auto: one locally, all slots on a cluster
    rows          the most rows to fit on; of more, a weighted sample is drawn by a hash of the key
    """

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
    monotone: dict[str, Literal[-1, 1]] = {}
    categorical: bool = False
    interactions: tuple[tuple[str, ...], ...] = ()
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    rows: int | None = Field(default=None, ge=100)


class IntervalSettings(Section):
    """The interval around each prediction: its level and the method that learns it."""

    level: float = Field(gt=0, lt=1)
    method: Literal["conformal"] = "conformal"


class ModelSettings(Section):
    """One model: its target, its unit (``per``), its features, and how it is fitted.

    A composite is the product of other models, its ``parts``. The models ``beside`` it predict the
    same quantity in another way, and are applied along with it.
    """

    method: Literal["glm", "boosting", "composite"]
    family: Literal["poisson", "gamma", "tweedie", "negative_binomial", "binomial"]
    target: str
    per: str
    tweedie_power: Annotated[float, Field(gt=1.0, lt=2.0)] | Literal["profile"] = 1.5
    theta: Annotated[float, Field(gt=0.0)] | Literal["profile"] = "profile"
    features: tuple[str, ...] | None = None
    max_levels: int = Field(default=200, ge=2)
    min_level_share: float = Field(default=0.0005, ge=0, lt=0.5)
    by: tuple[str, ...] = ()  # features whose levels are segments, the coarsest first
    min_rows: int = Field(default=100, ge=1)
    min_claims: float = Field(default=10.0, ge=0)
    credibility: Credibility = "none"
    parts: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    rebalance: bool | None = None
    large_loss_load: bool = False
    interval: IntervalSettings | None = None
    search: SearchSettings | None = None
    glm: GlmSettings = GlmSettings()
    boosting: BoostingSettings = BoostingSettings()
    quality: Quality = {}
    not_worse_than_champion: ChallengeSettings | None = None
    # For the model card: the purpose, where the model must not be used, and its limits.
    description: str | None = None
    purpose: str | None = None
    exclusions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _composite_defaults(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("method") == "composite":
            premium = {"family": "tweedie", "target": "claim_amount", "per": "exposure"}
            settings = premium | settings
        return with_logit(settings)

    @model_validator(mode="after")
    def _check_parts(self) -> ModelSettings:
        if (self.method == "composite") != bool(self.parts) or (self.beside and not self.parts):
            raise ValueError("parts (and beside) belong to method: composite, which needs them")
        if self.parts and self.features is not None:
            raise ValueError("a composite has the features of its parts: leave features out")
        return self

    @model_validator(mode="after")
    def _check_search(self) -> ModelSettings:
        if self.search is None:
            return self
        if self.method == "composite":
            raise ValueError("a composite has no parameters to search: search those of its parts")
        section = self.glm if self.method == "glm" else self.boosting
        numbers = {
            name: field.annotation
            for name, field in type(section).model_fields.items()
            if field.annotation in (int, float) and name != "seed"
        }
        handed_out = {"rounds"} if self.search.method == "halving" else set()
        searchable = [name for name in numbers if name not in handed_out]
        if handed_out and self.method == "glm":
            raise ValueError("search.method: halving hands out boosting rounds; a glm has none")
        for name, values in self.search.space.items():
            if name not in searchable:
                raise ValueError(f"search.space: expected {', '.join(searchable)}, found {name}")
            for value in values.extremes():
                exact = round(value) if numbers[name] is int else value
                type(section).model_validate({name: exact})
        return self

    @property
    def is_rebalanced(self) -> bool:
        """Tell whether the fit is rebalanced: as set, or else unless it balances by itself.

        The score equations of a Poisson GLM hold the balance, unless a penalty shifts them. No
        factor may take a probability beyond 1.
        """
        if self.family == "binomial":
            return False
        plain = self.method == "glm" and not self.by  # a shrunk segment does not balance
        by_itself = plain and self.family == "poisson" and not self.glm.alpha
        return not by_itself if self.rebalance is None else self.rebalance

    @property
    def link(self) -> str:
        """Return the link of what is fitted; boosting has the log, or a probability's logit."""
        if self.family == "binomial":
            return "logit"
        return self.glm.link if self.method == "glm" else "log"

    @property
    def screening_power(self) -> float:
        """Return the Tweedie power, or 1.5 where the power is still to be profiled."""
        return 1.5 if self.tweedie_power == "profile" else float(self.tweedie_power)

    @model_validator(mode="after")
    def _check_method(self) -> ModelSettings:
        profiled = self.family == "tweedie" and self.tweedie_power == "profile"
        if self.method == "boosting" or self.glm.solver == "mllib":
            fitter = "boosting" if self.method == "boosting" else "glm.solver: mllib"
            if self.family == "negative_binomial" or profiled:
                setting = "tweedie_power: profile" if profiled else "family: negative_binomial"
                raise ValueError(
                    f"{setting} is for method: glm with glm.solver: irls, not {fitter}"
                )
        parameter = OWN_PARAMETERS.get(self.family, "")
        if self.method == "composite" and getattr(self, parameter, None) == "profile":
            raise ValueError(
                f"{parameter}: profile is for method: glm; a composite fits nothing: give a number"
            )
        check_link(self.family, self.glm.link)
        check_segments(self)
        check_own(self.family, self.rebalance, self.large_loss_load, self.interval, self.quality)
        if self.glm.solver == "mllib" and self.glm.l1_ratio:
            raise ValueError("glm.l1_ratio is for glm.solver: irls; MLlib has a ridge only")
        return self


class TrainSettings(Section):
    """Which models are trained, on which batches, and the status they get."""

    batches: tuple[Text, ...]
    status: Literal["candidate", "champion"] = "champion"
    # A real rating factor alone explains a few percent; the strongest, bonus-malus, rarely five.
    max_one_way_d2: float = Field(default=0.2, gt=0, le=1)
    suspects: Literal["warn", "fail"] = "warn"
    # Of the rows that have units, those without a target that the model can use.
    left_out_warning_share: float = Field(default=0.01, ge=0, le=1)
    max_left_out_share: float = Field(default=1.0, ge=0, le=1)
    models: dict[str, ModelSettings]
    mlflow: MlflowSettings | None = None

    @model_validator(mode="after")
    def _check_names(self) -> TrainSettings:
        for name in self.models:
            check_name("train.models", name)
        if not self.batches or not self.models:
            raise ValueError("train needs at least one batch and one model")
        return self

    @model_validator(mode="after")
    def _check_composites(self) -> TrainSettings:
        for name, model in self.models.items():
            named = [*model.parts, *model.beside]
            plain = [n for n, other in self.models.items() if other.method != "composite"]
            unknown = [part for part in named if part not in plain]
            if unknown or len(set(named)) < len(named):
                wrong = ", ".join(unknown or named)
                raise ValueError(f"{name}: parts are each one of {', '.join(plain)}, found {wrong}")
            expected = unit_of([model])
            for parts in [model.parts, *((other,) for other in model.beside)] if named else ():
                unit = unit_of([self.models[part] for part in parts])
                if unit != expected:
                    raise ValueError(
                        f"{name}: expected parts that give {unit_text(*expected)}, found that "
                        f"{' times '.join(parts)} is {unit_text(*unit)}"
                    )
        return self


def unit_of(models: Sequence[ModelSettings]) -> tuple[list[str], list[str]]:
    """Return the targets and the units of a product of models, after cancelling."""
    targets = Counter(model.target for model in models)
    units = Counter(model.per for model in models)
    return sorted((targets - units).elements()), sorted((units - targets).elements())


def unit_text(target: Sequence[str], per: Sequence[str]) -> str:
    """Return a unit as a person writes it."""
    return f"{' * '.join(target) or '1'} per {' * '.join(per) or '1'}"
