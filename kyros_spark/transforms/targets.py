"""Bring claims to policies: how many count, their capped amount, and what lies above the cap."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ClaimSettings


def claims_by_policy(
    claims: DataFrame, reference: Sequence[str], settings: ClaimSettings
) -> DataFrame:
    """Sum the claims that count, a row a policy; each claim is capped before it is summed."""
    amount = F.expr(settings.amount).cast("double")
    capped = amount if settings.cap is None else F.least(amount, F.lit(float(settings.cap)))
    return (
        claims.where(F.expr(settings.where))
        .groupBy(*reference)
        .agg(
            F.sum(F.expr(settings.count).cast("double")).alias("claim_count"),
            F.sum(capped).alias("claim_amount"),
            F.sum(amount - capped).alias("claim_excess"),
        )
    )


def with_claims(
    policies: DataFrame, sums: DataFrame, key: Sequence[str], reference: Sequence[str]
) -> DataFrame:
    """Add the claim targets to policies; a policy without claims has zero of each."""
    renamed = sums.select(
        *(F.col(name).alias(f"_claim_key_{n}") for n, name in enumerate(reference)),
        "claim_count",
        "claim_amount",
        "claim_excess",
    )
    same = [policies[name] == renamed[f"_claim_key_{n}"] for n, name in enumerate(key)]
    joined = policies.join(renamed, on=same, how="left")
    names = ("claim_count", "claim_amount", "claim_excess")
    return joined.withColumns({name: F.coalesce(F.col(name), F.lit(0.0)) for name in names})


def with_claims_unknown(policies: DataFrame) -> DataFrame:
    """Add the claim targets as NULL: where claims are not known, zero would be a lie."""
    names = ("claim_count", "claim_amount", "claim_excess")
    return policies.withColumns({name: F.lit(None).cast("double") for name in names})
