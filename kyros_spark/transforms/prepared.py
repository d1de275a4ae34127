"""Make the rows of `prepared` of clean policies and claims, and those that a model scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ClaimSettings, Config, PrepareSettings
from kyros_spark.errors import FeatureDefinitionError
from kyros_spark.foreign_errors import first_line
from kyros_spark.transforms.features import exposure_value, feature_value, split_value
from kyros_spark.transforms.targets import claims_by_policy


def scoring_rows(policies: DataFrame, config: Config) -> DataFrame:
    """Return what a model scores of clean policies: key, exposure, features, as in `prepared`."""
    features = config.prepare.features
    return policies.select(
        *config.sources.policies.key,
        exposure_value(config.prepare),
        *(feature_value(name, feature) for name, feature in features.items()),
    )


def claim_sums(claims: DataFrame, reference: Sequence[str], settings: ClaimSettings) -> DataFrame:
    """Return the sums of claims by policy.

    Raises:
        FeatureDefinitionError: an expression of prepare.claims cannot be computed.
    """
    try:
        return claims_by_policy(claims, reference, settings)
    except AnalysisException as error:
        raise FeatureDefinitionError(
            "prepare.claims: count, amount or where cannot be computed from table claims "
            f"({', '.join(claims.columns)}): {first_line(error)}"
        ) from error


def prepared_rows(
    policies: DataFrame,
    key: Sequence[str],
    settings: PrepareSettings,
    claim_targets: Mapping[str, Column],
    batch: str,
    run_id: str,
    beside: Sequence[str] = (),
) -> DataFrame:
    """Return the rows of `prepared`: key, exposure, targets, split, features, batch and run.

    policies: clean policies, with the sums of their claims where claims are known.
    claim_targets: the targets that come from claims, over the columns of ``policies``.
    beside: further columns of ``policies`` that are kept.

    Raises:
        FeatureDefinitionError: an expression of prepare.targets cannot be computed.
    """
    # Behind the claims' join, whose rows are then no wider than policies. The sums have names that
    # no expression of the settings reaches until every feature is computed.
    features = {f"_feature_{n}": feature_value(n, f) for n, f in settings.features.items()}
    rows = policies.withColumns({**features, "_exposure": exposure_value(settings)})
    rows = rows.withColumn("split", split_value(settings.split)).withColumns(dict(claim_targets))
    try:
        return rows.select(
            *key,
            F.col("_exposure").alias("exposure"),
            *claim_targets,
            *(F.expr(sql).cast("double").alias(name) for name, sql in settings.targets.items()),
            "split",
            *(F.col(f"_feature_{name}").alias(name) for name in settings.features),
            F.lit(batch).alias("batch_id"),
            F.lit(run_id).alias("run_id"),
            *beside,
        )
    except AnalysisException as error:
        line = first_line(error)
        raise FeatureDefinitionError(f"prepare.targets: cannot be computed: {line}") from error
