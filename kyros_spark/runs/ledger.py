"""Keep the `runs` ledger: one row per run, the last finished run and failure of each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark import environment
from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.version_cache import TableVersion
from kyros_spark.log import masked
from kyros_spark.runs.run import AD_HOC, LastFailure, LastRun, Run, error_line, last_run_from_json
from kyros_spark.spark import session
from kyros_spark.tables.runs import RUNS

# What later runs need of the last run that ended well.
_LAST_RUN = ("run_id", "fingerprint", "outputs", "rows_out", "details", "started_at", "inputs",
             "settings_hash", "code_hash", "seconds", "resources")  # fmt: skip


class Ledger:
    """The `runs` table of a portfolio: the last done run of each (stage, batch), and new rows."""

    def __init__(self, tables: DeltaTables, portfolio: str) -> None:
        """Take the tables among which the ledger lies."""
        self._tables = tables
        self._portfolio = portfolio
        self._last_runs: dict[tuple[str, str], LastRun] | None = None
        self._newest = 0
        self._cache = tables.version_cache(RUNS.name)
        # The version of the table that the last runs were read at, where it is known.
        self._version: TableVersion | None = None

    def failures(self) -> dict[tuple[str, str], LastFailure]:
        """Return the last failure of each (stage, batch) that failed, ad-hoc work left aside."""
        last: dict[tuple[str, str], LastFailure] = {}
        version = self._tables.version(RUNS.name)
        if version is None:
            return last
        failed = {"status": "failed"}
        for row in small_rows(self._tables, RUNS.name, version, equal=failed):
            if json.loads(row["details"] or "{}").get(AD_HOC) is True:
                continue
            key = (row["stage"], row["batch_id"])
            ordinal = row.get("ordinal") or 0  # a ledger of an earlier version has none yet
            failure = LastFailure(ordinal, row["started_at"], row["error"] or "")
            if key not in last or failure.order > last[key].order:
                last[key] = failure
        return last

    def last_run(self, stage: str, batch: str) -> LastRun | None:
        """Return the last run of the stage on the batch that ended well."""
        return self._all_last_runs().get((stage, batch))

    def last_runs(self, stage: str) -> dict[str, LastRun]:
        """Return, by batch, the last run of the stage that ended well."""
        of_stage = self._all_last_runs().items()
        return {batch: run for (of, batch), run in of_stage if of == stage}

    def _all_last_runs(self) -> dict[tuple[str, str], LastRun]:
        if self._last_runs is None:
            self._version = self._cache.now()
            content = self._cache.get_or_compute(self._version, self._query)
            self._newest = content["newest"]
            self._last_runs = {
                (stage, batch): last_run_from_json(run) for stage, batch, run in content["done"]
            }
        return self._last_runs

    def _query(self) -> dict[str, Any]:
        """Ask the table itself; the answer is what the cache keeps."""
        ledger = self._tables.find(RUNS.name)
        if ledger is None:
            return _to_json(0, {})
        order = F.struct(_order(ledger), "started_at", "run_id")
        # A ledger of an earlier version may lack what later ones record of a run.
        recorded = [name for name in _LAST_RUN if name in ledger.columns]
        last_run = F.struct(*recorded, _order(ledger).alias("ordinal"))
        is_done = F.col("status") == "done"
        rows = (
            ledger.groupBy("stage", "batch_id")
            .agg(
                F.max_by(F.when(is_done, last_run), F.when(is_done, order)).alias("last"),
                F.max(_order(ledger)).alias("newest"),
            )
            .collect()
        )
        newest = max((row["newest"] for row in rows), default=0)
        last_runs = {
            (row["stage"], row["batch_id"]): _last_run_of(row["last"].asDict())
            for row in rows
            if row["last"] is not None
        }
        return _to_json(newest, last_runs)

    def record(self, *runs: Run) -> None:
        """Append one row for each run, in one commit."""
        if not runs:
            return
        last_runs, before = self._all_last_runs(), self._cache.now()
        rows = [{**self._row(run), "ordinal": self._newest + n} for n, run in enumerate(runs, 1)]
        self._newest += len(rows)
        self._tables.append_rows(RUNS, rows, runs[-1].run_id)
        for run, row in zip(runs, rows, strict=True):
            if run.status == "done":
                last_runs[run.stage, run.batch] = _last_run_of(row)
        # This ledger knows nothing of what another driver recorded meanwhile: then nothing is kept.
        self._version = self._cache.next_to(before) if before == self._version else None
        self._cache.put(self._version, _to_json(self._newest, last_runs))

    def _row(self, run: Run) -> dict[str, Any]:
        user, host = environment.user_and_host()
        driver_peak, worker_peak = environment.peak_memory()
        application = session.application(self._tables.spark)
        error = error_line(run.error) if run.error is not None else {"type": None, "message": None}
        row = {
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
            "libraries": {**environment.libraries(), "spark": application["spark"]},
            "user": user,
            "host": host,
            "application": application["application"],
            "driver_peak_mb": driver_peak,
            "worker_peak_mb": worker_peak,
            "resources": run.resources,
            "error_type": error["type"],
            "error": error["message"],
        }
        return {name: masked(value) for name, value in row.items()}


def _order(ledger: DataFrame) -> Column:
    """Return what orders the ledger's rows: a clock may have been put back between two of them."""
    has_ordinal = "ordinal" in ledger.columns  # a ledger of an earlier version has none yet
    return F.coalesce(F.col("ordinal"), F.lit(0)) if has_ordinal else F.lit(0).cast("bigint")


def _to_json(newest: int, last_runs: Mapping[tuple[str, str], LastRun]) -> dict[str, Any]:
    """Return what is kept of the ledger, as JSON takes it."""
    return {"newest": newest, "done": [[*key, run.to_json()] for key, run in last_runs.items()]}


def _last_run_of(row: Mapping[str, Any]) -> LastRun:
    """Return a finished run from its row of the ledger."""
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
        row["seconds"],
        dict(row.get("resources") or {}),
    )
