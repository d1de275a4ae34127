"""Bring to claims whether their policy is there, and the period it covers."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import CoverSettings, SourceSettings
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.rules import Rule, values_sql

_KNOWN = "_policy_known"
PERIOD = _START, _END = "_policy_from", "_policy_to"


def policy_keys(
    policies: DataFrame, key: tuple[str, ...], period: CoverSettings | None
) -> DataFrame:
    """Return the key of each clean policy, and the first and last day its claims may be of."""
    days = []
    if period is not None:
        days = [
            F.expr(period.start).cast("date").alias(_START),
            F.expr(period.end).cast("date").alias(_END),
        ]
    named = (F.col(name).alias(f"_policy_{n}") for n, name in enumerate(key))
    return policies.select(*named, *days, F.lit(True).alias(_KNOWN))


def with_policy_known(claims: DataFrame, keys: DataFrame, source: SourceSettings) -> DataFrame:
    """Join to each claim whether its policy is among the clean ones of the batch."""
    same = [F.col(name) == F.col(f"_policy_{n}") for n, name in enumerate(source.reference)]
    return claims.join(keys, on=same, how="left")


def claim_rules(source: SourceSettings) -> Iterator[Rule]:
    """Return the rules by which claims are judged beside their policies."""
    names = ", ".join(source.reference)
    told = "a clean policy of this batch"
    yield Rule("reference", names, told, f"{_KNOWN} IS NULL", values_sql(source.reference))
    period = source.period
    if period is not None:
        date = f"CAST({quoted(period.date)} AS DATE)"
        told = period.says or f"a day of its policy, from {period.start} to {period.end}"
        outside = f"{date} < {_START} OR {date} > {_END}"
        # As text first: a date beside '?' would make Spark read '?' as one, and fail.
        days = (f"coalesce(CAST({day} AS STRING), '?')" for day in (date, _START, _END))
        found = "concat({}, ' outside ', {}, ' to ', {})".format(*days)
        yield Rule("period", period.date, told, outside, found, period.severity)
