"""Keep the `runs` ledger: run ids, fingerprints, phases, results."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from kyros_spark import environment, session
from kyros_spark.delta import Tables, Written
from kyros_spark.digest import digest
from kyros_spark.log import event
from kyros_spark.tables.runs import RUNS

# What later runs ask of the last one that ended well.
_TOLD = ("run_id", "fingerprint", "outputs", "rows_out", "details", "started_at", "inputs",
         "settings_hash", "code_hash")  # fmt: skip


def new_run_id() -> str:
    """Return a run id: the time, so that ids sort, and a random part."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def fingerprint(stage: str, inputs: Mapping[str, str], settings_hash: str) -> str:
    """Return the hash that decides whether work is already done: inputs, settings, code."""
    return digest([stage, dict(inputs), settings_hash, environment.code_hash()])


@dataclass
class Run:
    """A run in flight: what the ledger and the result line will tell."""

    stage: str
    batch: str
    run_id: str
    started: float = field(default_factory=time.time)
    status: str = "failed"
    fingerprint: str = ""
    settings_hash: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Written] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """Return the wall time so far, or of the whole run once it ended."""
        return round((self.ended or time.time()) - self.started, 3)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the run, and say that it began."""
        event(f"{self.stage} {self.batch}: {name}")
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.phases[name] = round(self.phases.get(name, 0.0) + spent, 3)

    def result(self) -> dict[str, Any]:
        """Return the result line's content."""
        line: dict[str, Any] = {
            "stage": self.stage,
            "status": self.status,
            "run_id": self.run_id,
            "batch": self.batch,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_rejected": self.rows_rejected,
            "rows_duplicate": self.rows_duplicate,
            "seconds": self.seconds,
            "outputs": {
                name: {"path": w.place, "version": w.version} for name, w in self.outputs.items()
            },
            "details": self.details,
        }
        if self.error is not None:
            line["error"] = error_line(self.error)
        return line


def error_line(error: BaseException) -> dict[str, str]:
    """Return an error as the result line tells it."""
    told = str(error).strip().partition("\n\tat ")[0]  # Java's stack is for the log
    return {"type": type(error).__name__, "message": told[:4000]}


@dataclass(frozen=True)
class Done:
    """The last finished run of a stage on a batch."""

    run_id: str
    fingerprint: str
    outputs: dict[str, int]
    rows_out: int
    details: dict[str, Any]
    started_at: datetime
    inputs: dict[str, str]
    settings_hash: str
    code_hash: str

    def changes(self, run: Run) -> list[str]:
        """Return what a run of today would rest on otherwise than this one did."""
        names = sorted({*self.inputs, *run.inputs})
        told = [n for n in names if self.inputs.get(n) != run.inputs.get(n)]
        changed = [f"input {name}" for name in told]
        changed += ["settings"] if self.settings_hash != run.settings_hash else []
        return changed + (["code"] if self.code_hash != environment.code_hash() else [])


class Ledger:
    """The `runs` table of a portfolio: the last done run of each (stage, batch), and new rows."""

    def __init__(self, tables: Tables, portfolio: str) -> None:
        """Take the tables among which the ledger lies."""
        self._tables = tables
        self._portfolio = portfolio
        self._done: dict[tuple[str, str], Done] | None = None

    def failures(self) -> dict[tuple[str, str], tuple[datetime, str]]:
        """Return when and how each (stage, batch) failed last, where it did."""
        ledger = self._tables.find(RUNS.name)
        if ledger is None:
            return {}
        told = F.max_by(F.col("error"), F.col("started_at")).alias("error")
        failed = ledger.where(F.col("status") == "failed").groupBy("stage", "batch_id")
        rows = failed.agg(F.max("started_at").alias("at"), told).collect()
        return {(row["stage"], row["batch_id"]): (row["at"], row["error"] or "") for row in rows}

    def last_done(self, stage: str, batch: str) -> Done | None:
        """Return the last run of the stage on the batch that ended well."""
        if self._done is None:
            self._done = self._read()
        return self._done.get((stage, batch))

    def _read(self) -> dict[tuple[str, str], Done]:
        ledger = self._tables.find(RUNS.name)
        if ledger is None:
            return {}
        told = F.struct(*_TOLD)
        rows = (
            ledger.where(F.col("status") == "done")
            .groupBy("stage", "batch_id")
            .agg(F.max_by(told, F.struct("started_at", "run_id")).alias("last"))
            .collect()
        )
        return {(row["stage"], row["batch_id"]): _as_done(row["last"]) for row in rows}

    def record(self, *runs: Run) -> None:
        """Append one row for each run, in one commit."""
        rows = [self._row(run) for run in runs]
        if not rows:
            return
        schema = ", ".join(f"`{c.name}` {c.type}" for c in RUNS.columns)
        frame = self._tables.spark.createDataFrame(rows, schema).coalesce(1)
        self._tables.append(RUNS, frame, runs[-1].run_id)
        for run, row in zip(runs, rows, strict=True):
            if run.status == "done" and self._done is not None:
                self._done[run.stage, run.batch] = _as_done(row)

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
            "error_type": error["type"],
            "error": error["message"],
        }


def _as_done(row: Mapping[str, Any] | Row) -> Done:
    """Return what a row of the ledger tells of a finished run."""
    return Done(
        row["run_id"],
        row["fingerprint"],
        dict(row["outputs"] or {}),
        row["rows_out"],
        json.loads(row["details"] or "{}"),
        row["started_at"],
        dict(row["inputs"] or {}),
        row["settings_hash"],
        row["code_hash"],
    )
