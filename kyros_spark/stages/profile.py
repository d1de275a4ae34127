"""Profile what clean accepted, compare it with the batch before, and tell two batches apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta import Tables
from kyros_spark.errors import BatchChangedError, BatchMissingError
from kyros_spark.runs import Run
from kyros_spark.session import arrow_transfer
from kyros_spark.stages.execute import Workplace
from kyros_spark.stages.judge import Judged
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.transforms.profile import differences, profile, sample
from kyros_spark.transforms.verdicts import accepted


def profile_rows(
    place: Workplace,
    run: Run,
    name: str,
    judged: Judged,
    counts: Sequence[Mapping[str, Any]],
    before: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the rows of table profiles of one source; findings and changes go to the details.

    counts: the rows of `verdict_counts` that tell of the accepted rows. before: the source's
    profile of the batch to compare with.

    Raises:
        BatchChangedError: the batch differs from the one before, and the settings forbid it.
    """
    told, settings = run.details[name], place.config.clean
    if not settings.profile_rows:
        return []
    with arrow_transfer(place.spark):
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


def profiled_before(place: Workplace, batch: str) -> dict[str, list[dict[str, Any]]]:
    """Return, by source, the profile of the batch that was profiled last, other than this one."""
    settings = place.config.clean
    wanted = settings.profile_rows > 0 and settings.changes != "ignore"
    profiles = place.tables.find(PROFILES.name) if wanted else None
    if profiles is None:
        return {}
    last = F.max(F.struct("profiled_at", "batch_id")).over(Window.partitionBy("source"))
    rows = profiles.where(F.col("batch_id") != batch).withColumn("_last", last)
    rows = rows.where(F.col("_last.batch_id") == F.col("batch_id")).drop("_last")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.collect():
        found.setdefault(row["source"], []).append(row.asDict(recursive=True))
    return found


def compare(spark: SparkSession, config: Config, first: str, second: str) -> dict[str, list[str]]:
    """Return what differs between two batches, by source.

    Raises:
        BatchMissingError: one of them has no profile.
    """
    tables = Workplace(spark, config).tables
    rows = _profiled(tables, first, second)
    for batch in (first, second):
        if not any(row["batch_id"] == batch for row in rows):
            raise BatchMissingError(
                f"profile --diff: expected batch '{batch}' in {tables.place('profiles')}, found "
                f"none; run: kyros clean --batch {batch}"
            )
    by = {
        source: [
            [row for row in rows if (row["batch_id"], row["source"]) == (batch, source)]
            for batch in (first, second)
        ]
        for source in dict.fromkeys(row["source"] for row in rows)
    }
    return {
        source: differences(*pair) if all(pair) else [f"batch {first if pair[0] else second} only"]
        for source, pair in by.items()
    }


def shown(spark: SparkSession, config: Config, batch: str) -> list[dict[str, Any]]:
    """Return a batch's profile, a row a column.

    Raises:
        BatchMissingError: the batch has no profile.
    """
    tables = Workplace(spark, config).tables
    rows = _profiled(tables, batch)
    if not rows:
        raise BatchMissingError(
            f"profile: expected batch '{batch}' in {tables.place('profiles')}, found none; "
            f"run: kyros clean --batch {batch}"
        )
    return sorted(rows, key=lambda row: (row["source"], row["column"]))


def _profiled(tables: Tables, *batches: str) -> list[dict[str, Any]]:
    profiles = tables.find(PROFILES.name)
    if profiles is None:
        return []
    rows = profiles.where(F.col("batch_id").isin(*batches)).collect()
    return [row.asDict(recursive=True) for row in rows]
