"""Describe runs: ids, fingerprints, phases, results, and earlier runs as the ledger has them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kyros_spark import environment
from kyros_spark.delta.tables import Written
from kyros_spark.digest import digest
from kyros_spark.log import event, without_credentials

AD_HOC = "ad_hoc"  # in the details of a failed run that the settings did not ask for


def new_run_id() -> str:
    """Return a run id: the time, so that ids sort, and a random part."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def fingerprint(stage: str, inputs: Mapping[str, str], settings_hash: str) -> str:
    """Return the hash that decides whether work is already done: inputs, settings, code."""
    return digest([stage, dict(inputs), settings_hash, environment.code_hash()])


@dataclass
class Run:
    """A run in flight, with what the ledger and the result line will hold of it."""

    stage: str
    batch: str
    run_id: str
    started: float = field(default_factory=lambda: time.time())
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
    resources: dict[str, float] = field(default_factory=dict)
    in_python: Callable[[], dict[str, float]] | None = None  # seconds by kind, as workers report

    @property
    def seconds(self) -> float:
        """Return the wall time so far, or of the whole run once it ended."""
        return round((self.ended or time.time()) - self.started, 3)

    def log_fields(self) -> dict[str, Any]:
        """Return what every line of the log says of the run: its models once they are known."""
        models = self.details.get("models")
        versions = {"models": dict(models)} if isinstance(models, Mapping) and models else {}
        return {"run_id": self.run_id, "stage": self.stage, "batch": self.batch, **versions}

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
                name: {"path": w.location, "version": w.version} for name, w in self.outputs.items()
            },
            "details": self.details,
            "resources": self.resources,
        }
        if self.error is not None:
            line["error"] = error_line(self.error)
        return line


def error_line(error: BaseException) -> dict[str, str]:
    """Return an error as the result line has it."""
    message = str(error).strip().partition("\n\tat ")[0]  # Java's stack is for the log
    return {"type": type(error).__name__, "message": without_credentials(message)[:4000]}


@dataclass(frozen=True)
class LastRun:
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
    ordinal: int
    seconds: float
    resources: dict[str, float]

    @property
    def ended_at(self) -> datetime:
        """Return when the run ended."""
        return self.started_at + timedelta(seconds=self.seconds)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it; ``last_run_from_json`` reads it."""
        return {**asdict(self), "started_at": self.started_at.isoformat()}

    def changes(self, run: Run) -> list[str]:
        """Return what has changed since this run for a run of today: inputs, settings or code."""
        names = sorted({*self.inputs, *run.inputs})
        changed = [f"input {n}" for n in names if self.inputs.get(n) != run.inputs.get(n)]
        changed += ["settings"] if self.settings_hash != run.settings_hash else []
        return changed + (["code"] if self.code_hash != environment.code_hash() else [])


def last_run_from_json(content: Mapping[str, Any]) -> LastRun:
    """Return the finished run that ``LastRun.to_json`` gave."""
    return LastRun(**{**content, "started_at": datetime.fromisoformat(content["started_at"])})


@dataclass(frozen=True)
class LastFailure:
    """The last failed run of a stage on a batch."""

    ordinal: int
    started_at: datetime
    error: str

    @property
    def order(self) -> tuple[int, datetime]:
        """Return what orders failures: a clock may have been put back between two of them."""
        return self.ordinal, self.started_at

    def is_after(self, last_run: LastRun | None) -> bool:
        """Return whether the step failed after it was last done."""
        if last_run is None:
            return True
        return self.order >= (last_run.ordinal, last_run.started_at)
