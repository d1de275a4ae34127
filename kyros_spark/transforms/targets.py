"""Join claims to policies: their number, their capped amount, and the excess above the cap."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ClaimSettings

# Sums that one task holds in a hash table of some 64 MB; Spark may broadcast half as many.
_HASHED_PER_TASK = 500_000
_NAMES = ("claim_count", "claim_amount", "claim_excess")


def _sum(name: str) -> str:
    return f"_sum_{name}"


def _key(n: int) -> str:
    return f"_claim_key_{n}"


def claim_targets() -> dict[str, Column]:
    """Return the claim targets of rows that `with_claims` joined: zero where there is no claim."""
    no_claim = F.col(_key(0)).isNull()
    return {name: F.when(no_claim, 0.0).otherwise(F.col(_sum(name))) for name in _NAMES}


def unknown_claim_targets() -> dict[str, Column]:
    """Return the claim targets as NULL: where claims are not known yet, zero would be wrong."""
    return {name: F.lit(None).cast("double") for name in _NAMES}


def claims_by_policy(
    claims: DataFrame, reference: Sequence[str], settings: ClaimSettings
) -> DataFrame:
    """Sum the claims that count to one row per policy; each claim is capped before the sum.

    The sum is NULL where one of its claims has no amount: the others alone would understate it.
    """
    amount = _known(settings.amount)
    capped = amount
    if settings.cap is not None:
        cap = F.lit(float(settings.cap))
        capped = F.when(amount > cap, cap).otherwise(amount)
    return (
        claims.where(F.expr(settings.where))
        .groupBy(*reference)
        .agg(
            _total(_known(settings.count)).alias("claim_count"),
            _total(capped).alias("claim_amount"),
            _total(amount - capped).alias("claim_excess"),
        )
    )


def _known(sql: str) -> Column:
    """Return a number, or NULL where it is none; Spark orders NaN above every cap."""
    return F.nanvl(F.expr(sql).cast("double"), F.lit(None).cast("double"))


def _total(value: Column) -> Column:
    """Return the sum of values, or NULL if any of them is unknown; sum() alone skips NULL."""
    return F.when(F.count_if(value.isNull()) == 0, F.sum(value))


def with_claims(
    policies: DataFrame, sums: DataFrame, key: Sequence[str], rows: int, partitions: int
) -> DataFrame:
    """Join the sums of claims to policies, under private names that `claimed` reads.

    sums: as `claims_by_policy` returns them; the columns that name the policy come first.
    rows, partitions: the number of claims, and the number of partitions of Spark's shuffles.
    """
    renamed = sums.toDF(*map(_key, range(len(key))), *map(_sum, _NAMES))
    if _HASHED_PER_TASK < rows <= _HASHED_PER_TASK * partitions:
        # Spark cannot know how few sums there are, and would sort all policies to join them.
        renamed = renamed.hint("shuffle_hash")
    matches = [policies[name] == renamed[_key(n)] for n, name in enumerate(key)]
    return policies.join(renamed, on=matches, how="left")
