"""Keep the `runs` ledger: what was done last, what failed, and a row for each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from kyros_spark import environment
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.version_cache import TableVersion
from kyros_spark.runs.run import LastFailure, LastRun, Run, error_line, last_run_from_json
from kyros_spark.spark import session
from kyros_spark.tables.runs import RUNS

# What later runs ask of the last one that ended well.
_TOLD = ("run_id", "fingerprint", "outputs", "rows_out", "details", "started_at", "inputs",
         "settings_hash", "code_hash")  # fmt: skip


class Ledger:
    """The `runs` table of a portfolio: the last done run of each (stage, batch), and new rows."""

    def __init__(self, tables: DeltaTables, portfolio: str) -> None:
        """Take the tables among which the ledger lies."""
        self._tables = tables
        self._portfolio = portfolio
        self._done: dict[tuple[str, str], LastRun] | None = None
        self._newest = 0
        self._kept = tables.version_cache(RUNS.name)
        self._at: TableVersion | None = (
            None  # what version of the table the above tells of, where known
        )

    def failures(self) -> dict[tuple[str, str], LastFailure]:
        """Return how each (stage, batch) failed last, where it did."""
        ledger = self._tables.find(RUNS.name)
        if ledger is None:
            return {}
        told = F.struct(_order(ledger).alias("ordinal"), "started_at", "error")
        failed = ledger.where(F.col("status") == "failed").groupBy("stage", "batch_id")
        rows = failed.agg(F.max(told).alias("last")).collect()
        return {
            (row["stage"], row["batch_id"]): LastFailure(
                row["last"]["ordinal"], row["last"]["started_at"], row["last"]["error"] or ""
            )
            for row in rows
        }

    def last_done(self, stage: str, batch: str) -> LastRun | None:
        """Return the last run of the stage on the batch that ended well."""
        return self._known().get((stage, batch))

    def _known(self) -> dict[tuple[str, str], LastRun]:
        if self._done is None:
            self._done = self._read()
        return self._done

    def _read(self) -> dict[tuple[str, str], LastRun]:
        self._at = self._kept.now()
        told = self._kept.get_or_compute(self._at, self._asked)
        self._newest = told["newest"]
        return {(stage, batch): last_run_from_json(done) for stage, batch, done in told["done"]}

    def _asked(self) -> dict[str, Any]:
        ledger = self._tables.find(RUNS.name)
        if ledger is None:
            return _told(0, {})
        order = F.struct(_order(ledger), "started_at", "run_id")
        told = F.struct(*_TOLD, _order(ledger).alias("ordinal"))
        is_done = F.col("status") == "done"
        rows = (
            ledger.groupBy("stage", "batch_id")
            .agg(
                F.max_by(F.when(is_done, told), F.when(is_done, order)).alias("last"),
                F.max(_order(ledger)).alias("newest"),
            )
            .collect()
        )
        newest = max((row["newest"] for row in rows), default=0)
        done = [row for row in rows if row["last"] is not None]
        return _told(newest, {(r["stage"], r["batch_id"]): _as_done(r["last"]) for r in done})

    def record(self, *runs: Run) -> None:
        """Append one row for each run, in one commit."""
        if not runs:
            return
        known, before = self._known(), self._kept.now()
        rows = [{**self._row(run), "ordinal": self._newest + n} for n, run in enumerate(runs, 1)]
        self._newest += len(rows)
        schema = ", ".join(f"`{c.name}` {c.type}" for c in RUNS.columns)
        frame = self._tables.spark.createDataFrame(rows, schema).coalesce(1)
        self._tables.append(RUNS, frame, runs[-1].run_id)
        for run, row in zip(runs, rows, strict=True):
            if run.status == "done":
                known[run.stage, run.batch] = _as_done(row)
        # Of what another driver recorded meanwhile this one knows nothing: then nothing is kept.
        self._at = self._kept.next_to(before) if before == self._at else None
        self._kept.put(self._at, _told(self._newest, known))

    def _row(self, run: Run) -> dict[str, Any]:
        user, host = environment.user_and_host()
        driver_peak, worker_peak = environment.peak_memory()
        told = session.application(self._tables.spark)
        error = error_line(run.error) if run.error is not None else {"type": None, "message": None}
        return {
            "run_id": run.run_id,
            "stage": run.stage,
            "batch_id": run.batch,
            "portfolio": self._portfolio,
            "status": run.status,
            "started_at": datetime.fromtimestamp(run.started, UTC),
            "seconds": run.seconds,
            "phases": run.phases,
            "fingerprint": run.fingerprint,
            "inputs": run.inputs,
            "outputs": {name: written.version for name, written in run.outputs.items()},
            "rows_in": run.rows_in,
            "rows_out": run.rows_out,
            "rows_rejected": run.rows_rejected,
            "rows_duplicate": run.rows_duplicate,
            "details": json.dumps(run.details, default=str),
            "settings_hash": run.settings_hash,
            "code_version": environment.package_version(),
            "code_hash": environment.code_hash(),
            "git_commit": environment.git_commit(),
            "libraries": {**environment.libraries(), "spark": told["spark"]},
            "user": user,
            "host": host,
            "application": told["application"],
            "driver_peak_mb": driver_peak,
            "worker_peak_mb": worker_peak,
            "resources": run.resources,
            "error_type": error["type"],
            "error": error["message"],
        }


def _order(ledger: DataFrame) -> Column:
    """Return what orders the ledger's rows: a clock may have been put back between two of them."""
    known = "ordinal" in ledger.columns  # a ledger of an earlier version has none yet
    return F.coalesce(F.col("ordinal"), F.lit(0)) if known else F.lit(0).cast("bigint")


def _told(newest: int, done: Mapping[tuple[str, str], LastRun]) -> dict[str, Any]:
    """Return what is kept of the ledger, as JSON takes it."""
    return {"newest": newest, "done": [[*key, one.to_json()] for key, one in done.items()]}


def _as_done(row: Mapping[str, Any] | Row) -> LastRun:
    """Return what a row of the ledger tells of a finished run."""
    return LastRun(
        row["run_id"],
        row["fingerprint"],
        dict(row["outputs"] or {}),
        row["rows_out"],
        json.loads(row["details"] or "{}"),
        row["started_at"],
        dict(row["inputs"] or {}),
        row["settings_hash"],
        row["code_hash"],
        row["ordinal"],
    )
