"""Settings of the monitor stage: what a batch is compared with, and which rules judge it."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from kyros_spark.config.base import Section, Text, check_batch
from kyros_spark.log import without_credentials

# Of columns of prepared, of predictions, and of both; of what claims say of a model.
OfFeatures = Literal["missing_share", "unseen_share"]
OfColumns = Literal[
    "psi", "js_distance", "tv_distance", "ks_distance", "wasserstein_distance", "outside_share"
]
OfModels = Literal["actual_expected", "gini_drop", "calibration", "interval_width"]
DriftMetric = Literal[OfFeatures, OfColumns, OfModels]
OF_MODELS = frozenset(get_args(OfModels))
EVERY_SEGMENT = "*"
_VARIABLE = re.compile(r"^[A-Z_][A-Z0-9_]{0,127}\Z")
_PLAIN_ADDRESS = re.compile(r"^https?://[^\s/?#@]+/?\Z")


class DriftRule(Section):
    """One rule: it is broken where a measure is beyond its threshold and beyond chance.

    metric     the measure; each is 0 where nothing has changed, and larger the more has
    threshold  the largest value that is still in order
    against    the training batches, or the batch before
    columns    features or targets that it holds for, `prediction` for scores; () for all
    segment    a feature of monitor.segments, or "*" for each of them: the rule then holds within
               each of its levels
    batches    how many batches in turn have to be beyond it
    action     tell, or fail: monitor ends with exit code 4
    """

    metric: DriftMetric
    threshold: float = Field(ge=0)
    against: Literal["baseline", "previous"] = "baseline"
    columns: tuple[str, ...] = ()
    segment: str | None = None
    batches: int = Field(default=1, ge=1, le=1000)
    severity: Literal["warning", "critical"] = "warning"
    action: Literal["tell", "fail"] = "tell"

    @model_validator(mode="after")
    def _check(self) -> DriftRule:
        if self.metric in OF_MODELS and self.against != "baseline":
            raise ValueError(f"{self.metric} is of claims and training: against: baseline")
        return self

    @property
    def name(self) -> str:
        """Return how the rule is named in tables, logs and metrics."""
        segment = "segment" if self.segment == EVERY_SEGMENT else self.segment
        within = f" by {segment}" if segment else ""
        since = f" for {self.batches} batches" if self.batches > 1 else ""
        previous = " against the batch before" if self.against == "previous" else ""
        only = f" of {', '.join(self.columns)}" if self.columns else ""
        return f"{self.metric}{only} > {self.threshold:g}{within}{previous}{since}"


DEFAULT_RULES = (
    DriftRule(metric="psi", threshold=0.1),
    DriftRule(metric="psi", threshold=0.25, severity="critical"),
    DriftRule(metric="missing_share", threshold=0.02),
    DriftRule(metric="unseen_share", threshold=0.01),
    DriftRule(metric="outside_share", threshold=0.01),
    DriftRule(metric="actual_expected", threshold=0.05),
    DriftRule(metric="gini_drop", threshold=0.05),
    DriftRule(metric="calibration", threshold=0.05),
    DriftRule(metric="psi", threshold=0.25, segment=EVERY_SEGMENT),
    DriftRule(metric="actual_expected", threshold=0.1, segment=EVERY_SEGMENT),
)


class PrometheusSettings(Section):
    """Where the metrics of every stage go; any of the three, or none.

    textfile         a folder that node_exporter reads
    pushgateway      the address of a Pushgateway, without user and password
    port             served while the process lives, on ``address``
    timeout_seconds  how long a gateway may take before it is left alone
    """

    textfile: str | None = None
    pushgateway: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    address: str = "127.0.0.1"
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)

    @field_validator("pushgateway")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None and not _PLAIN_ADDRESS.match(value):
            raise ValueError(
                "expected http://HOST:PORT or https://HOST:PORT without user and password, found "
                f"{without_credentials(value)!r}"
            )
        return value

    @property
    def is_used(self) -> bool:
        """Tell whether metrics go anywhere."""
        return any(way is not None for way in (self.textfile, self.pushgateway, self.port))


def _variable(value: str) -> str:
    if not _VARIABLE.match(value):
        raise ValueError(
            "expected the name of an environment variable, such as KYROS_WEBHOOK, in capital "
            "letters, found something else; the address itself is a secret: put it there"
        )
    return value


class WebhookSettings(Section):
    """Where broken rules are posted: an address that only an environment variable holds.

    url_env   the variable's name
    severity  the least severity that is posted
    """

    url_env: str
    severity: Literal["warning", "critical"] = "warning"
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)

    @field_validator("url_env")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _variable(value)

    def takes(self, severity: str) -> bool:
        """Tell whether a rule of a severity is posted."""
        return self.severity == "warning" or severity == "critical"


class OpenLineageSettings(Section):
    """Where every stage's run is told as OpenLineage has it: an address that only an environment
    variable holds.

    url_env    the variable's name
    namespace  of the jobs; default: the portfolio's name
    """

    url_env: str = "OPENLINEAGE_URL"
    namespace: str | None = Field(default=None, min_length=1)
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)

    @field_validator("url_env")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _variable(value)


class MonitorSettings(Section):
    """What batches are compared with, by which measures, and what is said of it.

    baseline           the batches to compare with; by default those that models are trained on
    bins               coarse bins of a number, of equal exposure on the baseline
    segments           features by whose levels drift is measured too
    max_levels         a feature of more levels is not measured
    max_slices         levels of a segment that are looked at, the largest of the baseline
    require            what every model has to predict with, or else monitor fails
    false_alarm_rate   how often a batch that has not drifted may break any rule by chance
    """

    baseline: tuple[Text, ...] = ()
    features: tuple[str, ...] | None = None
    bins: int = Field(default=10, ge=2, le=100)
    segments: tuple[str, ...] = ()
    max_levels: int = Field(default=20_000, ge=2, le=1_000_000)
    max_slices: int = Field(default=50, ge=1, le=10_000)
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=1)
    rules: tuple[DriftRule, ...] = DEFAULT_RULES
    require: tuple[Literal["interval", "input_hash", "covers"], ...] = ()
    prometheus: PrometheusSettings = PrometheusSettings()
    webhook: WebhookSettings | None = None
    openlineage: OpenLineageSettings | None = None

    @field_validator("baseline")
    @classmethod
    def _check_baseline(cls, batches: tuple[str, ...]) -> tuple[str, ...]:
        for batch in batches:
            check_batch("baseline", batch)
        return batches

    @model_validator(mode="after")
    def _check(self) -> MonitorSettings:
        if len(set(self.segments)) < len(self.segments):
            raise ValueError(f"segments: a feature is named twice: {', '.join(self.segments)}")
        for rule in self.rules:
            if rule.segment not in (None, EVERY_SEGMENT, *self.segments):
                raise ValueError(
                    f"rules, {rule.name}: segment {rule.segment} is not among segments "
                    f"({', '.join(self.segments) or 'none'})"
                )
        return self

    @property
    def gates_features(self) -> bool:
        """Tell whether a rule on features stops a batch before it is predicted."""
        return any(r.action == "fail" and r.metric not in OF_MODELS for r in self.rules)
