"""Run one stage on one batch: fingerprint, skip, work, ledger. The frame of every stage's story."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import beats
from kyros_spark.config import BATCH_PATTERN, Config
from kyros_spark.delta import Tables
from kyros_spark.digest import digest
from kyros_spark.errors import BatchMissingError, UsageError
from kyros_spark.lease_store import beside
from kyros_spark.ledger import Ledger
from kyros_spark.log import event
from kyros_spark.meter import Meter, summary
from kyros_spark.runs import Done, Run, fingerprint, new_run_id
from kyros_spark.stages.faults import failures_named


@dataclass
class Workplace:
    """What a stage works with: the session, the settings, the tables, the ledger."""

    spark: SparkSession
    config: Config
    # Not None in a chain, which writes the ledger rows of its skipped steps in one commit, at its
    # end, and keeps the right to write until then: no other driver comes between two steps.
    waiting: list[Run] | None = None
    # Only tell what a run would do: nothing is worked, and nothing recorded.
    only_asking: bool = False
    tables: Tables = field(init=False)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        """Open the tables and the ledger of the portfolio."""
        self.tables = Tables(self.spark, self.config.tables)
        self.ledger = Ledger(self.tables, self.config.portfolio)

    def step_ended(self) -> None:
        """Give the right to write back, unless a chain goes on with it."""
        if self.waiting is None:
            self.tables.release()

    def done(self, stage: str, batch: str, needed_by: str) -> Done:
        """Return the last finished run of an earlier stage.

        Raises:
            BatchMissingError: that stage has not written the batch.
        """
        done = self.ledger.last_done(stage, batch)
        if done is None:
            raise BatchMissingError(
                f"{needed_by} {batch}: expected batch '{batch}' from stage {stage}, found none in "
                f"{self.tables.place('runs')}; run: kyros {stage} --batch {batch}"
            )
        return done


def execute(
    place: Workplace,
    run: Run,
    inputs: Callable[[], Mapping[str, str]],
    settings: Mapping[str, Any],
    work: Callable[[Run], None],
) -> Run:
    """Do the work unless the same inputs, settings and code have already done it.

    Raises:
        KyrosError: the work failed; the failure is in the ledger.
    """
    meter = Meter(place.spark)
    try:
        with failures_named(run):
            with run.phase("inputs"):
                run.inputs = dict(inputs())
            run.settings_hash = digest(settings)
            run.fingerprint = fingerprint(run.stage, run.inputs, run.settings_hash)
            before = place.ledger.last_done(run.stage, run.batch)
            if place.only_asking:
                return _standing(place.tables, run, before)
            if before is not None and _still_there(place.tables, run, before):
                run.status, run.rows_out, run.details = "skipped", before.rows_out, before.details
            else:
                _worked(place, run, work)
            _record(place, run, meter)
    except BaseException as error:
        if place.only_asking:
            raise
        run.status, run.error, run.ended = "failed", error, time.time()
        error.kyros_run = run  # type: ignore[attr-defined]  # for the result line
        _record_failure(place, run)
        raise
    for tidy in run.afterwards:  # what a killed run would still have needed
        tidy()
    place.step_ended()
    event(f"{run.stage} {run.batch}: {run.status}", rows_out=run.rows_out)
    if run.resources:
        event(f"{run.stage} {run.batch}: {summary(run.resources)}")
    return run


def _worked(place: Workplace, run: Run, work: Callable[[Run], None]) -> None:
    shown = beside(place.spark, place.config.tables, beats.FOLDER)
    with beats.beating(shown, run.stage, run.batch, run.run_id):
        work(run)
    if run.status != "skipped":  # the work itself found nothing to do
        run.status = "done"


def _record(place: Workplace, run: Run, meter: Meter) -> None:
    run.ended = time.time()
    if run.status == "done":
        run.resources = meter.read(run.rows_in, run.in_python() if run.in_python else None)
    if run.status == "skipped" and place.waiting is not None:
        place.waiting.append(run)
    else:
        place.ledger.record(run)


def _record_failure(place: Workplace, run: Run) -> None:
    """Tell the ledger, if it can be told; the failure itself is what has to be raised."""
    try:
        try:
            place.ledger.record(run)
        finally:
            place.step_ended()
    except Exception as error:  # a dead JVM, a full device: of the same cause
        event(f"the failure could not be written to the ledger: {error}")


def _standing(tables: Tables, run: Run, before: Done | None) -> Run:
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


def start(stage: str, batch: str | None, config: Config, run_id: str | None) -> Run:
    """Begin a run; without a batch id, the settings must name exactly one batch.

    Raises:
        UsageError: no batch was given, and there is not exactly one to take.
    """
    if batch is None:
        if len(config.batches) != 1:
            raise UsageError(
                f"{stage}: give --batch ID; the settings name {', '.join(config.batches) or 'none'}"
            )
        batch = config.batches[0]
    if not BATCH_PATTERN.match(batch):
        raise UsageError(
            f"{stage} --batch {batch!r}: expected letters, digits, '.', '_', '-' (64 at most), "
            "starting with a letter or a digit"
        )
    return Run(stage, batch, run_id or new_run_id())


def _still_there(tables: Tables, run: Run, before: Done) -> bool:
    if before.fingerprint != run.fingerprint:
        return False
    return all(tables.has(name, version) for name, version in before.outputs.items())
