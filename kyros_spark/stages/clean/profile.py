"""Profile what clean accepted, and compare it with the batch before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kyros_spark.errors import BatchChangedError
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.differences import differences
from kyros_spark.stages.clean.findings import profile
from kyros_spark.stages.clean.judge import JudgedSource


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
    rows = judged.rows.sampled(settings.profile_rows, details["rows_out"])
    broken = {**details["rules"], **details.get("repaired", {}), **details.get("warned", {})}
    profiles = [
        {**row, "source_type": judged.types.get(row["column"])}
        for row in profile(name, judged.source, counts, broken, rows)
    ]
    findings = {row["column"]: row["findings"] for row in profiles if row["findings"]}
    if findings:
        details["findings"] = findings
    changes = _changes(portfolio, run, name, before, profiles) if before else []
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


def _changes(
    portfolio: Portfolio,
    run: Run,
    name: str,
    before: Sequence[Mapping[str, Any]],
    profiles: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return how a source differs from the batch before, in what is known of both batches."""
    sources = portfolio.config.sources
    source = sources.claims if name == "claims" else sources.policies
    unknown: set[str] = set()
    if source is not None:
        unknown = source.unknown_columns(run.batch)
        unknown |= source.unknown_columns(before[0]["batch_id"])
    known = ([row for row in rows if row["column"].lower() not in unknown]
             for rows in (before, profiles))  # fmt: skip
    return differences(*known)
