"""Join to each claim whether its policy exists, and the period that the policy covers."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import CoverSettings, SourceSettings
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.rules import Rule, values_sql

_POLICY_KNOWN = "_policy_known"
PERIOD = _START, _END = "_policy_from", "_policy_to"


def policy_keys(
    policies: DataFrame, key: tuple[str, ...], period: CoverSettings | None
) -> DataFrame:
    """Return each clean policy's key, and the first and last day that its claims may have."""
    days = []
    if period is not None:
        days = [
            F.expr(period.start).cast("date").alias(_START),
            F.expr(period.end).cast("date").alias(_END),
        ]
    named = (F.col(name).alias(f"_policy_{n}") for n, name in enumerate(key))
    return policies.select(*named, *days, F.lit(True).alias(_POLICY_KNOWN))


def with_policy_known(claims: DataFrame, keys: DataFrame, source: SourceSettings) -> DataFrame:
    """Join to each claim whether its policy is among the clean ones of the batch."""
    matches = [F.col(name) == F.col(f"_policy_{n}") for n, name in enumerate(source.reference)]
    return claims.join(keys, on=matches, how="left")


def claim_rules(source: SourceSettings) -> Iterator[Rule]:
    """Yield the rules that compare claims with their policies."""
    names = ", ".join(source.reference)
    expected = "a clean policy of this batch"
    unknown = f"{_POLICY_KNOWN} IS NULL"
    yield Rule("reference", names, expected, unknown, values_sql(source.reference))
    period = source.period
    if period is not None:
        date = f"CAST({quoted(period.date)} AS DATE)"
        expected = period.says or f"a day of its policy, from {period.start} to {period.end}"
        outside = f"{date} < {_START} OR {date} > {_END}"
        # As text first: beside a date, Spark would read '?' as a date and fail.
        days = (f"coalesce(CAST({day} AS STRING), '?')" for day in (date, _START, _END))
        found_sql = "concat({}, ' outside ', {}, ' to ', {})".format(*days)
        yield Rule("period", period.date, expected, outside, found_sql, period.severity)
