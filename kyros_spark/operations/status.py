"""status: how each (stage, batch) stands, and what a run would do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.staging import can_stage
from kyros_spark.errors import BatchMissingError, KyrosError, UsageError
from kyros_spark.runs import heartbeat
from kyros_spark.runs.micro_batches import GATHERING, gathered, rows_each
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import LastFailure, Run
from kyros_spark.stages.pipeline import STAGES, steps_of
from kyros_spark.storage.small_files import beside


@dataclass(frozen=True)
class Standing:
    """How the work of one stage on one batch stands.

    state: current; stale (its inputs, settings or code changed, or what it rests on is stale);
    running (it gives signs of life); missing (never done); unfinished (a run stopped between
    micro-batches); failed (the last try).
    because: what changed, or how it failed.
    done_at: when it was last done.
    """

    stage: str
    batch: str
    state: str
    because: tuple[str, ...]
    run_id: str | None = None
    done_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line tells it."""
        return asdict(self)


def status(
    spark: SparkSession,
    config: Config,
    batches: Sequence[str] = (),
    stages: Sequence[str] = STAGES,
) -> list[Standing]:
    """Return how each stage stands on each batch, in the order a chain would run them.

    Nothing is run and nothing written.

    Raises:
        UsageError: no batches are known.
    """
    chosen = list(batches) or list(config.batches)
    if not chosen:
        raise UsageError("status: give --batch ID, or list batches in the settings")
    portfolio = Portfolio(spark, config, only_asking=True)
    failures = portfolio.ledger.failures()
    running = heartbeat.running_steps(beside(spark, config.tables, heartbeat.FOLDER))
    found: dict[tuple[str, str], Standing] = {}
    for stage, batch, work in steps_of(config, chosen, stages):
        try:
            run: Run | None = work(portfolio)
            state, because = _told(portfolio, run)
        except BatchMissingError:
            run, state, because = None, "missing", ("what it rests on is missing",)
        except KyrosError as error:
            run, state, because = None, "failed", (str(error),)
        if state == "current":
            state, because = _of_earlier(config, stage, batch, found, because)
        if state in ("stale", "missing"):
            state, because = _of_failure(portfolio, stage, batch, failures, state, because)
        if (stage, batch) in running:
            state, because = "running", (_of_running(running[stage, batch]),)
        done = portfolio.ledger.last_done(stage, batch)
        run_id, done_at = (None, None) if done is None else (done.run_id, done.started_at)
        found[stage, batch] = Standing(stage, batch, state, because, run_id, done_at)
    return list(found.values())


def lines(standings: Sequence[Standing]) -> list[str]:
    """Return a line each, in columns."""
    width = max((len(one.batch) for one in standings), default=0)
    return [
        f"{one.stage:<9} {one.batch:<{width}}  {one.state:<10} {'; '.join(one.because)}".rstrip()
        for one in standings
    ]


def _told(portfolio: Portfolio, run: Run | None) -> tuple[str, tuple[str, ...]]:
    assert run is not None
    because = tuple(run.details.get("because", ()))
    by_parts = rows_each(portfolio.config, run.stage, run.batch) is not None
    if by_parts and run.status != "current" and can_stage(portfolio.tables, GATHERING[run.stage]):
        parts = gathered(portfolio, run).parts()
        if parts:
            return "unfinished", (f"{len(parts)} micro-batches written by run {parts[-1].run_id}",)
    return run.status, because


def _of_earlier(
    config: Config,
    stage: str,
    batch: str,
    found: Mapping[tuple[str, str], Standing],
    because: tuple[str, ...],
) -> tuple[str, tuple[str, ...]]:
    """A stage is stale where one that it rests on is: it will have other inputs."""
    trained_on = config.train.batches if config.train is not None else ()
    label = "+".join(trained_on)
    rests_on = {
        "prepare": [("clean", batch)],
        "train": [("prepare", one) for one in trained_on],
        "predict": [("prepare", batch), ("train", label)],
        "evaluate": [("predict", batch)],
    }.get(stage, [])
    stale = [one for at in rests_on if (one := found.get(at)) is not None]
    told = tuple(f"{one.stage} {one.batch} is {one.state}" for one in stale
                 if one.state != "current")  # fmt: skip
    return ("stale", told) if told else ("current", because)


def _of_running(said: Mapping[str, Any]) -> str:
    since = datetime.fromtimestamp(float(said.get("since", 0)), UTC)
    return f"run {said['run_id']} on {said.get('host')} since {since:%Y-%m-%d %H:%M:%S} UTC"


def _of_failure(
    portfolio: Portfolio,
    stage: str,
    batch: str,
    failures: Mapping[tuple[str, str], LastFailure],
    state: str,
    because: tuple[str, ...],
) -> tuple[str, tuple[str, ...]]:
    failed, done = failures.get((stage, batch)), portfolio.ledger.last_done(stage, batch)
    if failed is None or not failed.is_after(done):
        return state, because
    return "failed", (failed.error, *because)
