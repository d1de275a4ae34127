"""Compare the claims of each policy with the number and amount that the policy itself states."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ReconcileSettings
from kyros_spark.tables.ddl import quoted

_EXACT = "DECIMAL(24, 6)"  # sums of it do not depend on the order of the rows
STATED, OF_CLAIMS = "stated", "of_claims"
KINDS = ("count", "total")


def claims_beside_policies(
    policies: DataFrame,
    claims: DataFrame,
    key: Sequence[str],
    reference: Sequence[str],
    settings: ReconcileSettings,
) -> DataFrame:
    """Return a row per policy: its key, and per kind what it states and what its claims give.

    A kind is `count` or `total`, as far as it is set; its columns are `column_of` it. What is not
    known is NULL: a number that the policy does not state, a sum of which an amount is missing.
    """
    unknown = F.lit(None).cast(_EXACT)
    amount = unknown if settings.amount is None else _exact(settings.amount)
    counted = claims.where(F.expr(f"coalesce({settings.where}, false)"))
    sums = counted.groupBy(*(F.col(n).alias(f"_policy_{i}") for i, n in enumerate(reference))).agg(
        F.count(F.lit(1)).cast(_EXACT).alias("_claims"),
        F.when(F.count_if(amount.isNull()) == 0, F.sum(amount)).alias("_amount"),
    )
    matches = [F.col(name) == F.col(f"_policy_{i}") for i, name in enumerate(key)]
    joined = policies.join(sums, on=matches, how="left")
    of_claims = {"count": F.coalesce("_claims", F.lit(0).cast(_EXACT)), "total": _sum_or_nothing()}
    stated = {"count": settings.count, "total": settings.total}
    columns = [F.col(name) for name in key]
    for kind in KINDS:
        name = stated[kind]
        if name is not None:
            columns.append(_exact(name).alias(column_of(kind, STATED)))
            columns.append(of_claims[kind].alias(column_of(kind, OF_CLAIMS)))
    return joined.select(*columns)


def column_of(kind: str, side: str) -> str:
    """Return the name of the column that holds a kind's number of one side."""
    return f"_{kind}_{side}"


def difference(kind: str, settings: ReconcileSettings) -> Column:
    """Return 1 where claims give more than the policy states, -1 where less, 0 where the same.

    It is NULL where either is unknown.
    """
    more = F.col(column_of(kind, OF_CLAIMS)) - F.col(column_of(kind, STATED))
    most = F.lit(str(settings.tolerance if kind == "total" else 0.0)).cast(_EXACT)
    return F.when(more > most, 1).when(more < -most, -1).when(more.isNotNull(), 0)


def _exact(name: str) -> Column:
    return F.expr(f"try_cast({quoted(name)} AS {_EXACT})")


def _sum_or_nothing() -> Column:
    """Return the sum of a policy's claims: 0 without claims, NULL where one has no amount."""
    return F.when(F.col("_claims").isNull(), F.lit(0).cast(_EXACT)).otherwise(F.col("_amount"))
