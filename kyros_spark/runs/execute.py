"""Run one stage on one batch: fingerprint, skip, work, ledger. The frame of every stage's story."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kyros_spark.delta.tables import DeltaTables
from kyros_spark.digest import digest
from kyros_spark.log import about, event
from kyros_spark.runs.failures import translate_failures
from kyros_spark.runs.heartbeat import FOLDER, heartbeat
from kyros_spark.runs.metrics import samples
from kyros_spark.runs.openlineage import Lineage
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.prometheus import export
from kyros_spark.runs.resources import Meter, summary
from kyros_spark.runs.run import AD_HOC, LastRun, Run, fingerprint, new_run_id
from kyros_spark.storage.small_files import beside

Content = TypeVar("Content")


@dataclass(frozen=True)
class Inputs(Generic[Content]):
    """What work rests on.

    identity: what the fingerprint takes, by name: a table's version, a file's hash.
    content: what was looked up on the way, for the work itself.
    """

    identity: Mapping[str, str]
    content: Content


@dataclass(frozen=True)
class Work(Generic[Content]):
    """What a stage would do on one batch.

    inputs: looks up what the work rests on; it writes nothing, and is asked before anything is.
    settings: those that the work depends on, as JSON takes them.
    do: does the work and puts what came of it into the run.
    is_ad_hoc: it is not what the settings ask for, such as models named by hand; its failure says
    nothing of the step that the settings ask for.
    """

    portfolio: Portfolio
    stage: str
    batch: str
    inputs: Callable[[], Inputs[Content]]
    settings: Mapping[str, Any]
    do: Callable[[Run, Content], None]
    is_ad_hoc: bool = False


@dataclass(frozen=True)
class WorkState:
    """How work stands against the last run that did it.

    status: current, stale or missing.
    because: what changed since.
    run: the run that would do it now; nothing of it is recorded.
    """

    status: str
    because: tuple[str, ...]
    run: Run


def execute(
    work: Work[Any],
    run_id: str | None = None,
    skipped: list[Run] | None = None,
) -> Run:
    """Do the work unless the same inputs, settings and code have already done it.

    skipped: takes the run if there was nothing to do. A pipeline gives a list: it records its
    skipped steps in one commit at its end and keeps the right to write until then, so that no
    other driver comes between two steps. Without it, the run is recorded and the right given back.

    Raises:
        KyrosError: the work failed; the failure is in the ledger.
    """
    run = Run(work.stage, work.batch, run_id or new_run_id())
    with about(run.log_fields):
        return _executed(work, run, skipped)


def _executed(work: Work[Any], run: Run, skipped: list[Run] | None) -> Run:
    portfolio, in_pipeline = work.portfolio, skipped is not None
    meter, lineage = Meter(portfolio.spark), Lineage(portfolio, run)
    try:
        with translate_failures(run):
            with run.phase("inputs"):
                inputs = _resolve(work, run)
            last_run = portfolio.ledger.last_run(run.stage, run.batch)
            if last_run is not None and _is_current(portfolio.tables, run, last_run):
                run.status, run.rows_out = "skipped", last_run.rows_out
                run.details = last_run.details
            else:
                lineage.begin()
                _do(work, run, inputs)
            _record(portfolio, run, meter, skipped)
    except BaseException as error:
        run.status, run.error, run.ended = "failed", error, time.time()
        if work.is_ad_hoc:
            run.details[AD_HOC] = True
        error.kyros_run = run  # type: ignore[attr-defined]  # for the result line
        _record_failure(portfolio, run, in_pipeline)
        _tell_metrics(portfolio, run)
        lineage.end()
        raise
    _tell_metrics(portfolio, run)
    lineage.end()
    for tidy in run.afterwards:  # what a killed run would still have needed
        tidy()
    if not in_pipeline:
        portfolio.tables.release()
    event(f"{run.stage} {run.batch}: {run.status}", rows_out=run.rows_out)
    if run.resources:
        event(f"{run.stage} {run.batch}: {summary(run.resources)}")
    return run


def state_of(work: Work[Any]) -> WorkState:
    """Return how the work stands; nothing is done and nothing recorded.

    Raises:
        KyrosError: what the work rests on cannot be looked up.
    """
    run = Run(work.stage, work.batch, new_run_id())
    with translate_failures(run):
        _resolve(work, run)
        last_run = work.portfolio.ledger.last_run(run.stage, run.batch)
        if last_run is None:
            return WorkState("missing", ("never done",), run)
        tables = work.portfolio.tables
        if _is_current(tables, run, last_run):
            return WorkState("current", (), run)
        gone = [
            f"table {name} is gone"
            for name, version in last_run.outputs.items()
            if not tables.has(name, version)
        ]
        return WorkState("stale", (*last_run.changes(run), *gone), run)


def _resolve(work: Work[Content], run: Run) -> Content:
    """Look up the inputs, and give the run its fingerprint."""
    inputs = work.inputs()
    run.inputs = dict(inputs.identity)
    run.settings_hash = digest(work.settings)
    run.fingerprint = fingerprint(run.stage, run.inputs, run.settings_hash)
    return inputs.content


def _do(work: Work[Content], run: Run, content: Content) -> None:
    portfolio = work.portfolio
    beats = beside(portfolio.spark, portfolio.config.tables, FOLDER)
    with heartbeat(beats, run.stage, run.batch, run.run_id):
        work.do(run, content)
    if run.status != "skipped":  # the work itself found nothing to do
        run.status = "done"


def _record(portfolio: Portfolio, run: Run, meter: Meter, skipped: list[Run] | None) -> None:
    run.ended = time.time()
    if run.status == "done":
        run.resources = meter.read(run.rows_in, run.in_python() if run.in_python else None)
    if run.status == "skipped" and skipped is not None:
        skipped.append(run)
    else:
        portfolio.ledger.record(run)


def _record_failure(portfolio: Portfolio, run: Run, in_pipeline: bool) -> None:
    """Record the failure in the ledger if that is possible; the failure itself must be raised."""
    try:
        try:
            portfolio.ledger.record(run)
        finally:
            if not in_pipeline:
                portfolio.tables.release()
    except Exception as error:  # a dead JVM or a full device: of the same cause
        event(f"the failure could not be written to the ledger: {error}")


def _tell_metrics(portfolio: Portfolio, run: Run) -> None:
    """Hand the run's metrics on where the settings say; nothing of it can fail the run."""
    settings = portfolio.config.monitor.prometheus
    if settings.is_used:
        with suppress(Exception):  # a JVM that is gone answers for no ledger
            predictions = portfolio.ledger.last_runs("predict").values()
            name = portfolio.config.portfolio
            export(settings, name, run.stage, samples(run, name, predictions))


def _is_current(tables: DeltaTables, run: Run, last_run: LastRun) -> bool:
    if last_run.fingerprint != run.fingerprint:
        return False
    return all(tables.has(name, version) for name, version in last_run.outputs.items())
