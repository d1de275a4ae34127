"""Write a batch slice by slice, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame

from kyros_spark.config import Config, ExplainSettings
from kyros_spark.delta.slices import slices
from kyros_spark.delta.staging import StagedWrite, can_stage
from kyros_spark.delta.tables import Written
from kyros_spark.delta.where import Where
from kyros_spark.digest import digest
from kyros_spark.log import event
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.tables.explanations import explanations
from kyros_spark.tables.predictions import predictions as predictions_table
from kyros_spark.tables.prepared import prepared as prepared_table
from kyros_spark.transforms.features import row_wise

# The stages that write slice by slice, and the table that each writes so.
STAGED_TABLES = {"prepare": "prepared", "predict": "predictions", "explain": "explanations"}


def rows_per_micro_batch(config: Config, stage: str, batch: str) -> int | None:
    """Return the rows per micro-batch of a stage; None where the batch is needed whole."""
    if stage == "predict":
        return config.predict.rows_per_micro_batch
    if stage == "explain":
        return (config.explain or ExplainSettings()).rows_per_micro_batch
    # A policy's claims may be anywhere among the batch's, and so may a duplicate of clean's.
    if stage == "prepare" and not config.claims_known(batch) and row_wise(config.prepare):
        return config.prepare.rows_per_micro_batch
    return None


def slices_of(
    portfolio: Portfolio, run: Run, table: str, version: int, total: int, rows: int
) -> list[DataFrame]:
    """Return the run's batch of ``total`` rows in slices of about ``rows``, or in one if it must.

    One slice it is where the table cannot be written slice by slice.
    """
    if total <= rows or not can_stage(portfolio.tables, STAGED_TABLES[run.stage]):
        return [portfolio.tables.read(table, version, [run.batch])]
    return slices(portfolio.tables, table, version, run.batch, rows)


def staged_write(portfolio: Portfolio, run: Run) -> StagedWrite:
    """Return the micro-batches of a run's work, shared by all runs of the same work."""
    config = portfolio.config
    work = digest([run.fingerprint, rows_per_micro_batch(config, run.stage, run.batch)])
    if run.stage == "prepare":
        table = prepared_table(config.sources.policies, config.prepare)
        return StagedWrite(portfolio.tables, table, work, config.tables.rows_per_file)
    contract = explanations if run.stage == "explain" else predictions_table
    return StagedWrite(portfolio.tables, contract(config.sources.policies), work)


def in_micro_batches(
    run: Run,
    staged: StagedWrite,
    parts: Sequence[DataFrame],
    transform: Callable[[DataFrame], DataFrame],
    where: Where,
) -> Written:
    """Write the slices that earlier runs of the same work have not, then publish all in one commit.

    transform: turns a slice into rows of the table. The rows must not be observed: Delta leaves out
    a micro-batch that another run committed meanwhile, and an observation of a plan that never ran
    is waited for without end.
    """

    def write(number: int) -> None:
        staged.write(number, transform(parts[number]), run.run_id)

    return gathered(run, staged, len(parts), write, where)[0]


def gathered(
    run: Run,
    staged: StagedWrite,
    count: int,
    write: Callable[[int], dict[str, Any] | None],
    where: Where,
) -> tuple[Written, list[dict[str, Any] | None]]:
    """Write the micro-batches that earlier runs have not, then publish all in one commit.

    Returns the commit, and the totals of each micro-batch whose writer told them.
    write: writes the micro-batch of a number, and returns its totals if it has them.
    """
    before = staged.resume()
    totals = [part.totals for part in before]
    if before:
        event(f"{len(before)} of {count} micro-batches are there, going on behind them")
    for number in range(len(before), count):
        with run.phase("write"):
            totals.append(write(number))
        event(f"{run.stage} {run.batch}: micro-batch {number + 1} of {count} written")
    with run.phase("show"):
        written = staged.publish(run.run_id, where, run.batch)
    run.details["micro_batches"] = {"all": count, "of_earlier_runs": len(before)}
    if before:
        run.details["went_on_from"] = sorted({part.run_id for part in before})
    run.afterwards.append(staged.discard)
    return written, totals
