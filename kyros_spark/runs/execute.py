"""Run one stage on one batch: fingerprint, skip, work, ledger. The frame of every stage's story."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from kyros_spark.delta.tables import DeltaTables
from kyros_spark.digest import digest
from kyros_spark.log import event
from kyros_spark.runs import heartbeat
from kyros_spark.runs.failures import translate_failures
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.resources import Meter, summary
from kyros_spark.runs.run import LastRun, Run, fingerprint
from kyros_spark.storage.small_files import beside


def execute(
    portfolio: Portfolio,
    run: Run,
    inputs: Callable[[], Mapping[str, str]],
    settings: Mapping[str, Any],
    work: Callable[[Run], None],
) -> Run:
    """Do the work unless the same inputs, settings and code have already done it.

    Raises:
        KyrosError: the work failed; the failure is in the ledger.
    """
    meter = Meter(portfolio.spark)
    try:
        with translate_failures(run):
            with run.phase("inputs"):
                run.inputs = dict(inputs())
            run.settings_hash = digest(settings)
            run.fingerprint = fingerprint(run.stage, run.inputs, run.settings_hash)
            before = portfolio.ledger.last_done(run.stage, run.batch)
            if portfolio.only_asking:
                return _standing(portfolio.tables, run, before)
            if before is not None and _still_there(portfolio.tables, run, before):
                run.status, run.rows_out, run.details = "skipped", before.rows_out, before.details
            else:
                _worked(portfolio, run, work)
            _record(portfolio, run, meter)
    except BaseException as error:
        if portfolio.only_asking:
            raise
        run.status, run.error, run.ended = "failed", error, time.time()
        error.kyros_run = run  # type: ignore[attr-defined]  # for the result line
        _record_failure(portfolio, run)
        raise
    for tidy in run.afterwards:  # what a killed run would still have needed
        tidy()
    portfolio.step_ended()
    event(f"{run.stage} {run.batch}: {run.status}", rows_out=run.rows_out)
    if run.resources:
        event(f"{run.stage} {run.batch}: {summary(run.resources)}")
    return run


def _worked(portfolio: Portfolio, run: Run, work: Callable[[Run], None]) -> None:
    shown = beside(portfolio.spark, portfolio.config.tables, heartbeat.FOLDER)
    with heartbeat.heartbeat(shown, run.stage, run.batch, run.run_id):
        work(run)
    if run.status != "skipped":  # the work itself found nothing to do
        run.status = "done"


def _record(portfolio: Portfolio, run: Run, meter: Meter) -> None:
    run.ended = time.time()
    if run.status == "done":
        run.resources = meter.read(run.rows_in, run.in_python() if run.in_python else None)
    if run.status == "skipped" and portfolio.waiting is not None:
        portfolio.waiting.append(run)
    else:
        portfolio.ledger.record(run)


def _record_failure(portfolio: Portfolio, run: Run) -> None:
    """Tell the ledger, if it can be told; the failure itself is what has to be raised."""
    try:
        try:
            portfolio.ledger.record(run)
        finally:
            portfolio.step_ended()
    except Exception as error:  # a dead JVM, a full device: of the same cause
        event(f"the failure could not be written to the ledger: {error}")


def _standing(tables: DeltaTables, run: Run, before: LastRun | None) -> Run:
    """Tell in a run's status how its work stands, and why."""
    if before is None:
        run.status, run.details = "missing", {"because": ["never done"]}
        return run
    current = _still_there(tables, run, before)
    gone = [] if current else [
        f"table {name} is gone" for name, version in before.outputs.items()
        if not tables.has(name, version)
    ]  # fmt: skip
    run.status = "current" if current else "stale"
    run.details = {"because": [] if current else [*before.changes(run), *gone]}
    return run


def _still_there(tables: DeltaTables, run: Run, before: LastRun) -> bool:
    if before.fingerprint != run.fingerprint:
        return False
    return all(tables.has(name, version) for name, version in before.outputs.items())
