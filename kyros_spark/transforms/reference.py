"""Judge claims by whether their policy is there."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.rules import Rule, values_sql

_KNOWN = "_policy_known"


def with_policy_known(
    claims: DataFrame, policy_keys: DataFrame, source: SourceSettings, policies: SourceSettings
) -> DataFrame:
    """Join to each claim whether its policy is among the clean ones of the batch.

    policy_keys: the key columns of the clean policies, one row each.
    """
    renamed = policy_keys.select(
        *(F.col(key).alias(f"_policy_{n}") for n, key in enumerate(policies.key)),
        F.lit(True).alias(_KNOWN),
    )
    same = [F.col(name) == F.col(f"_policy_{n}") for n, name in enumerate(source.reference)]
    return claims.join(renamed, on=same, how="left")


def reference_rule(source: SourceSettings) -> Rule:
    """Return the rule that a claim is refused by where its policy is not known."""
    return Rule(
        "reference",
        ", ".join(source.reference),
        "a clean policy of this batch",
        f"{_KNOWN} IS NULL",
        values_sql(source.reference),
    )
