"""health: say on one screen what runs, how fresh and fast it is, and what is not in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.environment import package_version
from kyros_spark.errors import GateError
from kyros_spark.runs.metrics import latency
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.stages.graph import STAGE_INPUTS

NOMINAL = "all systems nominal"


@dataclass(frozen=True)
class LatestRun:
    """The last run of a stage that did work, on whichever batch."""

    stage: str
    batch: str
    ended_at: datetime
    age_hours: float
    seconds: float
    rows: int
    utilisation: float | None


@dataclass(frozen=True)
class Health:
    """How a portfolio is doing.

    problems   what is critical: a step that failed, a critical rule of monitor, an old last run
    warnings   what is worth a look
    latency    predict's seconds per 1,000 policies: p50 and p99 over its last runs
    """

    portfolio: str
    version: str
    models: Mapping[str, str]
    runs: Sequence[LatestRun]
    latency: Mapping[str, float]
    drift: Mapping[str, str]
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def verdict(self) -> str:
        """Return the state in a word."""
        return "critical" if self.problems else "warning" if self.warnings else "nominal"

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it, with the exit code."""
        code = {"exit_code": GateError.exit_code} if self.problems else {}
        return {**asdict(self), "verdict": self.verdict, **code}


def health(spark: SparkSession, config: Config, max_age_hours: float | None = None) -> Health:
    """Return how a portfolio is doing, from its ledger and registry; nothing is run.

    max_age_hours: how old the last run may be; None for any age.
    """
    portfolio, now = Portfolio(spark, config), datetime.now(UTC)
    champions = {e.name: str(e.version) for e in portfolio.registry.entries()
                 if e.status == "champion"}  # fmt: skip
    runs = _latest(portfolio, now)
    speeds = {
        f"p{float(sample.labels['quantile']) * 100:g}": round(sample.value, 6)
        for sample in latency(portfolio.ledger.last_runs("predict").values(), config.portfolio)
        if "quantile" in sample.labels
    }
    monitored = portfolio.ledger.last_runs("monitor")
    drift = {batch: str(run.details.get("verdict", "ok")) for batch, run in monitored.items()}
    newest = max(monitored, key=lambda batch: monitored[batch].ordinal, default=None)
    problems, warnings = [*_failures(portfolio)], list[str]()
    if newest is not None and drift[newest] != "ok":
        count = len(monitored[newest].details.get("alarms", ()))
        sentence = f"batch {newest}: drift is {drift[newest]}, {count} rules of monitor are broken"
        (problems if drift[newest] == "critical" else warnings).append(sentence)
    if not runs:
        warnings.append("nothing has run yet")
    elif max_age_hours is not None and runs[0].age_hours > max_age_hours:
        problems.append(
            f"the last run is {runs[0].age_hours:.1f} hours old, expected at most {max_age_hours:g}"
        )
    return Health(config.portfolio, package_version(), champions, runs, speeds, drift, problems,
                  warnings, now)  # fmt: skip


def lines(state: Health) -> Iterator[str]:
    """Yield the lines that a person reads."""
    yield f"{state.portfolio}, kyros-spark {state.version}, {state.now:%Y-%m-%d %H:%M} UTC"
    models = ", ".join(f"{name}@{version}" for name, version in state.models.items())
    yield f"models: {models or 'none is registered'}"
    for run in state.runs:
        busy = f", cores {run.utilisation:.0%}" if run.utilisation is not None else ""
        yield (
            f"{run.stage:<9} {run.batch:<12} {run.age_hours:8.1f} h ago, {run.seconds:,.1f} s, "
            f"{run.rows:,} rows{busy}"
        )
    if state.latency:
        speeds = ", ".join(f"{name} {value:.4f}" for name, value in state.latency.items())
        yield f"seconds per 1,000 policies: {speeds}"
    if state.drift:
        yield "drift: " + ", ".join(f"{batch} {verdict}" for batch, verdict in state.drift.items())
    for level, texts in (("critical", state.problems), ("warning", state.warnings)):
        yield from (f"{level}: {text}" for text in texts)
    if state.verdict == "nominal":
        yield NOMINAL


def _failures(portfolio: Portfolio) -> Iterator[str]:
    for (stage, batch), failure in sorted(portfolio.ledger.failures().items()):
        if failure.is_after(portfolio.ledger.last_run(stage, batch)):
            yield f"{stage} {batch} failed on {failure.started_at:%Y-%m-%d}: {failure.error[:200]}"


def _latest(portfolio: Portfolio, now: datetime) -> list[LatestRun]:
    """Return the last run of each stage of a pipeline that did work, the newest first."""
    runs = []
    for stage in STAGE_INPUTS:
        batches = portfolio.ledger.last_runs(stage)
        if not batches:
            continue
        batch = max(batches, key=lambda name: batches[name].ordinal)
        run, ended = batches[batch], batches[batch].ended_at.astimezone(UTC)
        used = run.resources.get("utilisation")
        age = max((now - ended).total_seconds(), 0.0) / 3600  # another clock may be ahead
        runs.append(LatestRun(stage, batch, ended, round(age, 3), run.seconds, run.rows_out, used))
    return sorted(runs, key=lambda run: run.ended_at, reverse=True)
