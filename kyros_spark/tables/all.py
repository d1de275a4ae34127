"""List all tables of a portfolio."""

from __future__ import annotations

from kyros_spark.config import Config
from kyros_spark.tables.claims import claims
from kyros_spark.tables.contract import Table
from kyros_spark.tables.drift import DRIFT
from kyros_spark.tables.evaluation_factors import EVALUATION_FACTORS
from kyros_spark.tables.evaluation_lift import EVALUATION_LIFT
from kyros_spark.tables.evaluation_metrics import EVALUATION_METRICS
from kyros_spark.tables.evaluation_two_way import EVALUATION_TWO_WAY
from kyros_spark.tables.explanation_summary import EXPLANATION_SUMMARY
from kyros_spark.tables.explanations import explanations
from kyros_spark.tables.feature_log import FEATURE_LOG
from kyros_spark.tables.models import MODELS
from kyros_spark.tables.policies import policies
from kyros_spark.tables.predictions import predictions
from kyros_spark.tables.prepared import prepared
from kyros_spark.tables.profile_metrics import PROFILE_METRICS
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.tables.relativities import RELATIVITIES
from kyros_spark.tables.repairs import REPAIRS
from kyros_spark.tables.runs import RUNS
from kyros_spark.tables.segments import SEGMENTS

# Every name, also of a table that the settings no longer declare but an earlier run wrote.
TABLE_NAMES = (
    "policies",
    "claims",
    REJECTS.name,
    REPAIRS.name,
    PROFILES.name,
    "prepared",
    FEATURE_LOG.name,
    MODELS.name,
    RELATIVITIES.name,
    SEGMENTS.name,
    "predictions",
    "explanations",
    EXPLANATION_SUMMARY.name,
    EVALUATION_METRICS.name,
    EVALUATION_FACTORS.name,
    EVALUATION_LIFT.name,
    EVALUATION_TWO_WAY.name,
    PROFILE_METRICS.name,
    DRIFT.name,
    RUNS.name,
)


def all_tables(config: Config) -> tuple[Table, ...]:
    """Return the contract of every table of a portfolio, in the order of `TABLE_NAMES`."""
    sources = config.sources
    return (
        policies(sources.policies),
        *((claims(sources.claims),) if sources.claims is not None else ()),
        REJECTS,
        REPAIRS,
        PROFILES,
        prepared(sources.policies, config.prepare),
        FEATURE_LOG,
        MODELS,
        RELATIVITIES,
        SEGMENTS,
        predictions(sources.policies),
        explanations(sources.policies),
        EXPLANATION_SUMMARY,
        EVALUATION_METRICS,
        EVALUATION_FACTORS,
        EVALUATION_LIFT,
        EVALUATION_TWO_WAY,
        PROFILE_METRICS,
        DRIFT,
        RUNS,
    )
