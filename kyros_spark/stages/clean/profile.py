"""Profile what clean accepted, and compare it with the batch before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from kyros_spark.errors import BatchChangedError
from kyros_spark.runs.portfolio import Portfolio
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
    """Return the rows of table profiles for one source; findings and changes go to the details.

    counts: the rows of `verdict_counts` for accepted rows. before: the source's profile in the
    batch to compare with.

    Raises:
        BatchChangedError: the batch differs from the one before, and the settings forbid it.
    """
    details, settings = run.details[name], portfolio.config.clean
    if not settings.profile_rows:
        return []
    with arrow_transfer(portfolio.spark):
        clean = accepted(judged.rows)
        rows = sample(clean, judged.source, settings.profile_rows, details["rows_out"]).toPandas()
    broken = {**details["rules"], **details.get("repaired", {}), **details.get("warned", {})}
    profiles = [
        {**row, "source_type": judged.types.get(row["column"])}
        for row in profile(name, judged.source, counts, broken, rows)
    ]
    findings = {row["column"]: row["findings"] for row in profiles if row["findings"]}
    if findings:
        details["findings"] = findings
    changes = differences(before, profiles) if before else []
    if changes:
        details["changes"] = {"against": before[0]["batch_id"], "what": changes[:50]}
    if changes and settings.changes == "fail":
        raise BatchChangedError(
            f"{name}, batch {run.batch}: expected columns and levels as in batch "
            f"{before[0]['batch_id']}, found {'; '.join(changes[:10])}; correct the extract or set "
            "clean.changes: warn, nothing was written"
        )
    now = datetime.now(UTC)
    stamp = {"batch_id": run.batch, "profiled_at": now, "run_id": run.run_id}
    return [{**row, **stamp} for row in profiles]


def last_profiles(portfolio: Portfolio, batch: str) -> dict[str, list[dict[str, Any]]]:
    """Return, by source, the profile of the batch that was profiled last before this one."""
    settings = portfolio.config.clean
    wanted = settings.profile_rows > 0 and settings.changes != "ignore"
    profiles = portfolio.tables.find(PROFILES.name) if wanted else None
    if profiles is None:
        return {}
    last = F.max(F.struct("profiled_at", "batch_id")).over(Window.partitionBy("source"))
    rows = profiles.where(F.col("batch_id") != batch).withColumn("_last", last)
    rows = rows.where(F.col("_last.batch_id") == F.col("batch_id")).drop("_last")
    by_source: dict[str, list[dict[str, Any]]] = {}
    for row in rows.collect():
        by_source.setdefault(row["source"], []).append(row.asDict(recursive=True))
    return by_source
