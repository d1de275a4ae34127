"""Settings: one YAML file a portfolio, frozen and closed."""

from kyros_spark.config.base import BATCH_PATTERN
from kyros_spark.config.budgets import BudgetSettings
from kyros_spark.config.features import (
    ClaimSettings,
    FeatureSettings,
    PrepareSettings,
    SplitSettings,
)
from kyros_spark.config.load import is_remote, load_config, parse_config
from kyros_spark.config.models import (
    BoostingSettings,
    GlmSettings,
    ModelSettings,
    PredictSettings,
    TrainSettings,
)
from kyros_spark.config.settings import Config, SparkSettings, TableSettings
from kyros_spark.config.sources import CleanSettings, ColumnSettings, Sources, SourceSettings

__all__ = [
    "BATCH_PATTERN",
    "BoostingSettings",
    "BudgetSettings",
    "ClaimSettings",
    "CleanSettings",
    "ColumnSettings",
    "Config",
    "FeatureSettings",
    "GlmSettings",
    "ModelSettings",
    "PredictSettings",
    "PrepareSettings",
    "SourceSettings",
    "Sources",
    "SparkSettings",
    "SplitSettings",
    "TableSettings",
    "TrainSettings",
    "is_remote",
    "load_config",
    "parse_config",
]
