"""Bring claims to policies: how many count, their capped amount, and what lies above the cap."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ClaimSettings

# Sums that a task holds in a table of hashes, 64 MB or so; half as many may well be broadcast.
_FEW = 500_000
_NAMES = ("claim_count", "claim_amount", "claim_excess")


def _sum(name: str) -> str:
    return f"_sum_{name}"


def _key(n: int) -> str:
    return f"_claim_key_{n}"


def claimed() -> dict[str, Column]:
    """Return the claim targets of rows that `with_claims` joined: zero of each without claims."""
    return {name: F.coalesce(F.col(_sum(name)), F.lit(0.0)) for name in _NAMES}


def claims_unknown() -> dict[str, Column]:
    """Return the claim targets as NULL: where claims are not known, zero would be a lie."""
    return {name: F.lit(None).cast("double") for name in _NAMES}


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
    policies: DataFrame, sums: DataFrame, key: Sequence[str], rows: int, partitions: int
) -> DataFrame:
    """Bring the sums of claims to policies, under names of their own: see `claimed`.

    sums: as `claims_by_policy` returns them, the columns that name the policy first.
    rows, partitions: how many claims there are, and into how many parts Spark shuffles them.
    """
    renamed = sums.toDF(*map(_key, range(len(key))), *map(_sum, _NAMES))
    if _FEW < rows <= _FEW * partitions:
        # Spark cannot tell how few they are, and would sort all policies for them.
        renamed = renamed.hint("shuffle_hash")
    same = [policies[name] == renamed[_key(n)] for n, name in enumerate(key)]
    return policies.join(renamed, on=same, how="left")
