"""status: show the state of each (stage, batch), which decides what a run would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from textwrap import shorten
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.staging import can_stage
from kyros_spark.errors import BatchMissingError, KyrosError, SparkLostError
from kyros_spark.runs import heartbeat
from kyros_spark.runs.execute import WorkState, state_of
from kyros_spark.runs.micro_batches import STAGED_TABLES, rows_per_micro_batch, staged_write
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastFailure
from kyros_spark.spark.deferred import is_waiting
from kyros_spark.stages.graph import check_run, earlier_steps
from kyros_spark.stages.pipeline import OPTIONAL_STAGES, Step, default_stages, steps_of
from kyros_spark.storage.small_files import readable_beside

_REASON_WIDTH = 160  # characters of a line; the result line has them all

Standings = dict[tuple[str, str], "Standing"]


@dataclass(frozen=True)
class Standing:
    """The state of one stage on one batch.

    state: current; stale (its inputs, settings or code changed, or an earlier step is stale);
    running (its heartbeat is there); missing (never done); unfinished (a run stopped between
    micro-batches); failed (the last try).
    because: what changed, or how it failed.
    done_at: when the last finished run ended.
    """

    stage: str
    batch: str
    state: str
    because: tuple[str, ...]
    run_id: str | None = None
    done_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it."""
        return asdict(self)


def status(
    spark: SparkSession,
    config: Config,
    batches: Sequence[str] = (),
    stages: Sequence[str] | None = None,
) -> list[Standing]:
    """Return the state of each stage on each batch, in the order in which a pipeline runs them.

    Nothing is run and nothing written.

    stages: by default those that a pipeline runs, and each other for batches on which it was ever
    tried.

    Raises:
        UsageError: no batches are known, or a stage is not one of a pipeline.
    """
    asked = default_stages(config) if stages is None else stages
    chosen = check_run(config, batches, asked, "status")
    portfolio = Portfolio(spark, config)
    failures = portfolio.ledger.failures()
    running = heartbeat.running_steps(readable_beside(spark, config.tables, heartbeat.FOLDER))
    standings: Standings = {}
    for step in steps_of(config, chosen, (*asked, *(OPTIONAL_STAGES if stages is None else ()))):
        key = (step.stage, step.batch)
        was_tried = key in failures or portfolio.ledger.last_run(*key) is not None
        if step.stage not in asked and not was_tried:
            continue
        state, because = _state(portfolio, step)
        if state == "current":
            state, because = _with_earlier_steps(config, step, standings, because)
        if state in ("stale", "missing"):
            state, because = _with_failure(portfolio, key, failures, state, because)
        if key in running:
            state, because = "running", (_running_since(running[key]),)
        last_run = portfolio.ledger.last_run(*key)
        run_id = last_run.run_id if last_run is not None else None
        done_at = last_run.ended_at if last_run is not None else None
        standings[key] = Standing(*key, state, because, run_id, done_at)
    return list(standings.values())


def lines(standings: Sequence[Standing]) -> list[str]:
    """Return one line per step, in columns."""
    width = max((len(standing.batch) for standing in standings), default=0)
    texts = []
    for s in standings:
        because = shorten("; ".join(s.because), _REASON_WIDTH, placeholder=" ...")
        texts.append(f"{s.stage:<9} {s.batch:<{width}}  {s.state:<10} {because}".rstrip())
    return texts


def _state(portfolio: Portfolio, step: Step) -> tuple[str, tuple[str, ...]]:
    """Return the state of a step for itself, and the reasons."""
    try:
        state = state_of(step.work(portfolio))
    except BatchMissingError:
        return "missing", ("what it rests on is missing",)
    except SparkLostError:  # of the machine, not of the step
        raise
    except KyrosError as error:
        return "failed", (str(error),)
    if state.status != "current":
        return _unfinished(portfolio, state) or (state.status, state.because)
    return state.status, state.because


def _unfinished(portfolio: Portfolio, state: WorkState) -> tuple[str, tuple[str, ...]] | None:
    """Return the state of work that stopped between micro-batches; None if it has none."""
    run = state.run
    if rows_per_micro_batch(portfolio.config, run.stage, run.batch) is None:
        return None
    # Spark need not be started for a folder that is not there.
    if not is_waiting(portfolio.spark) and not can_stage(
        portfolio.tables, STAGED_TABLES[run.stage]
    ):
        return None
    parts = staged_write(portfolio, run).parts()
    if not parts:
        return None
    return "unfinished", (f"{len(parts)} micro-batches written by run {parts[-1].run_id}",)


def _with_earlier_steps(
    config: Config, step: Step, standings: Standings, because: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """A step is stale if an earlier one that it rests on is: it will have other inputs."""
    keys = earlier_steps(config, step.stage, step.batch)
    earlier = [standings[key] for key in keys if key in standings]
    changed = tuple(f"{s.stage} {s.batch} is {s.state}" for s in earlier if s.state != "current")
    return ("stale", changed) if changed else ("current", because)


def _running_since(beat: Mapping[str, Any]) -> str:
    since = datetime.fromtimestamp(float(beat.get("since", 0)), UTC)
    return f"run {beat['run_id']} on {beat.get('host')} since {since:%Y-%m-%d %H:%M:%S} UTC"


def _with_failure(
    portfolio: Portfolio,
    key: tuple[str, str],
    failures: Mapping[tuple[str, str], LastFailure],
    state: str,
    because: tuple[str, ...],
) -> tuple[str, tuple[str, ...]]:
    failure, last_run = failures.get(key), portfolio.ledger.last_run(*key)
    if failure is None or not failure.is_after(last_run):
        return state, because
    return "failed", (failure.error, *because)
