"""profile: return a batch's profile, or the differences between two batches."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import BatchMissingError
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.stages.clean.differences import differences
from kyros_spark.tables.profiles import PROFILES


def compare(spark: SparkSession, config: Config, first: str, second: str) -> dict[str, list[str]]:
    """Return the differences between two batches, by source.

    Raises:
        BatchMissingError: a batch has no profile.
    """
    tables = Portfolio(spark, config).tables
    rows = _profile_rows(tables, first, second)
    for batch in (first, second):
        if not any(row["batch_id"] == batch for row in rows):
            raise BatchMissingError(
                f"profile --diff: expected batch '{batch}' in {tables.location('profiles')}, found "
                f"none; run: kyros clean --batch {batch}"
            )
    pairs = {
        source: [
            [row for row in rows if (row["batch_id"], row["source"]) == (batch, source)]
            for batch in (first, second)
        ]
        for source in dict.fromkeys(row["source"] for row in rows)
    }
    return {
        source: differences(*pair) if all(pair) else [f"batch {first if pair[0] else second} only"]
        for source, pair in pairs.items()
    }


def shown(spark: SparkSession, config: Config, batch: str) -> list[dict[str, Any]]:
    """Return a batch's profile: one row per column, ordered by source and column.

    Raises:
        BatchMissingError: the batch has no profile.
    """
    tables = Portfolio(spark, config).tables
    rows = _profile_rows(tables, batch)
    if not rows:
        raise BatchMissingError(
            f"profile: expected batch '{batch}' in {tables.location('profiles')}, found none; "
            f"run: kyros clean --batch {batch}"
        )
    return sorted(rows, key=lambda row: (row["source"], row["column"]))


def _profile_rows(tables: DeltaTables, *batches: str) -> list[dict[str, Any]]:
    profiles = tables.find(PROFILES.name)
    if profiles is None:
        return []
    rows = profiles.where(F.col("batch_id").isin(*batches)).collect()
    return [row.asDict(recursive=True) for row in rows]
