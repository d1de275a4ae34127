"""Judge claims by whether their policy is there."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.rules import Rule, with_reason_added

_KNOWN = "_policy_known"


def with_orphans_judged(
    claims: DataFrame, policy_keys: DataFrame, source: SourceSettings, policies: SourceSettings
) -> DataFrame:
    """Add a reason to each claim whose policy is not among the clean ones of the batch.

    policy_keys: the key columns of the clean policies, one row each.
    """
    renamed = policy_keys.select(
        *(F.col(key).alias(f"_policy_{n}") for n, key in enumerate(policies.key)),
        F.lit(True).alias(_KNOWN),
    )
    same = [F.col(name) == F.col(f"_policy_{n}") for n, name in enumerate(source.reference)]
    joined = claims.join(renamed, on=same, how="left")
    rule = Rule(
        "reference",
        ", ".join(source.reference),
        "a clean policy of this batch",
        F.col(_KNOWN).isNull(),
        F.concat_ws(", ", *(F.col(name).cast("string") for name in source.reference)),
    )
    return with_reason_added(joined, rule).select(*claims.columns)
