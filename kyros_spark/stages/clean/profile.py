"""Profile what clean accepted, compare it with the batch before, and tell two batches apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from kyros_spark.errors import BatchChangedError
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run
from kyros_spark.spark.session import arrow_transfer
from kyros_spark.stages.clean.findings import (
    differences,
    profile,
)
from kyros_spark.stages.clean.judge import JudgedSource
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.transforms.profile import (
    sample,
)
from kyros_spark.transforms.verdicts import accepted


def profile_rows(
    portfolio: Portfolio,
    run: Run,
    name: str,
    judged: JudgedSource,
    counts: Sequence[Mapping[str, Any]],
    before: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the rows of table profiles of one source; findings and changes go to the details.

    counts: the rows of `verdict_counts` that tell of the accepted rows. before: the source's
    profile of the batch to compare with.

    Raises:
        BatchChangedError: the batch differs from the one before, and the settings forbid it.
    """
    told, settings = run.details[name], portfolio.config.clean
    if not settings.profile_rows:
        return []
    with arrow_transfer(portfolio.spark):
        clean = accepted(judged.rows)
        rows = sample(clean, judged.source, settings.profile_rows, told["rows_out"]).toPandas()
    broken = {**told["rules"], **told.get("repaired", {}), **told.get("warned", {})}
    found = [
        {**row, "source_type": judged.types.get(row["column"])}
        for row in profile(name, judged.source, counts, broken, rows)
    ]
    findings = {row["column"]: row["findings"] for row in found if row["findings"]}
    if findings:
        told["findings"] = findings
    changes = differences(before, found) if before else []
    if changes:
        told["changes"] = {"against": before[0]["batch_id"], "what": changes[:50]}
    if changes and settings.changes == "fail":
        raise BatchChangedError(
            f"{name}, batch {run.batch}: expected columns and levels as in batch "
            f"{before[0]['batch_id']}, found {'; '.join(changes[:10])}; correct the extract or set "
            "clean.changes: warn, nothing was written"
        )
    now = datetime.now(UTC)
    stamp = {"batch_id": run.batch, "profiled_at": now, "run_id": run.run_id}
    return [{**row, **stamp} for row in found]


def as_frame(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    """Return the rows as a DataFrame of table profiles."""
    schema = ", ".join(f"`{column.name}` {column.type}" for column in PROFILES.columns)
    return spark.createDataFrame(rows, schema).coalesce(1)


def profiled_before(portfolio: Portfolio, batch: str) -> dict[str, list[dict[str, Any]]]:
    """Return, by source, the profile of the batch that was profiled last, other than this one."""
    settings = portfolio.config.clean
    wanted = settings.profile_rows > 0 and settings.changes != "ignore"
    profiles = portfolio.tables.find(PROFILES.name) if wanted else None
    if profiles is None:
        return {}
    last = F.max(F.struct("profiled_at", "batch_id")).over(Window.partitionBy("source"))
    rows = profiles.where(F.col("batch_id") != batch).withColumn("_last", last)
    rows = rows.where(F.col("_last.batch_id") == F.col("batch_id")).drop("_last")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.collect():
        found.setdefault(row["source"], []).append(row.asDict(recursive=True))
    return found
