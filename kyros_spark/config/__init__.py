"""Settings: one YAML file per portfolio, frozen, and closed to unknown keys."""

from kyros_spark.config.base import BATCH_PATTERN
from kyros_spark.config.budgets import BudgetSettings
from kyros_spark.config.columns import ColumnSettings, Severity
from kyros_spark.config.evaluate import (
    EvaluateSettings,
    JudgedSettings,
    Measure,
    ThresholdSettings,
)
from kyros_spark.config.explain import ExplainSettings
from kyros_spark.config.features import (
    AgeSettings,
    ClaimSettings,
    FeatureSettings,
    PrepareSettings,
    SplitSettings,
)
from kyros_spark.config.load import is_remote, load_config, parse_config
from kyros_spark.config.models import (
    OWN_PARAMETERS,
    BoostingSettings,
    GlmSettings,
    ModelSettings,
    TrainSettings,
)
from kyros_spark.config.monitor import (
    EVERY_SEGMENT,
    OF_MODELS,
    DriftRule,
    MonitorSettings,
    OpenLineageSettings,
    PrometheusSettings,
    WebhookSettings,
)
from kyros_spark.config.predict import PredictSettings
from kyros_spark.config.quality import BoundSettings, ChallengeSettings
from kyros_spark.config.reconcile import ReconcileSettings
from kyros_spark.config.rules import (
    AmountSettings,
    CoverSettings,
    ListSettings,
    PeriodSettings,
    RuleSettings,
)
from kyros_spark.config.search import RangeSettings, SearchSettings
from kyros_spark.config.settings import Config, SparkSettings, TableSettings
from kyros_spark.config.sources import CleanSettings, Sources, SourceSettings, columns_of
from kyros_spark.config.tracking import MlflowSettings

__all__ = [
    "BATCH_PATTERN",
    "EVERY_SEGMENT",
    "OF_MODELS",
    "OWN_PARAMETERS",
    "AgeSettings",
    "AmountSettings",
    "BoostingSettings",
    "BoundSettings",
    "BudgetSettings",
    "ChallengeSettings",
    "ClaimSettings",
    "CleanSettings",
    "ColumnSettings",
    "Config",
    "CoverSettings",
    "DriftRule",
    "EvaluateSettings",
    "ExplainSettings",
    "FeatureSettings",
    "GlmSettings",
    "JudgedSettings",
    "ListSettings",
    "Measure",
    "MlflowSettings",
    "ModelSettings",
    "MonitorSettings",
    "OpenLineageSettings",
    "PeriodSettings",
    "PredictSettings",
    "PrepareSettings",
    "PrometheusSettings",
    "RangeSettings",
    "ReconcileSettings",
    "RuleSettings",
    "SearchSettings",
    "Severity",
    "SourceSettings",
    "Sources",
    "SparkSettings",
    "SplitSettings",
    "TableSettings",
    "ThresholdSettings",
    "TrainSettings",
    "WebhookSettings",
    "columns_of",
    "is_remote",
    "load_config",
    "parse_config",
]
