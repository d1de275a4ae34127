"""Score a batch slice by slice: a run that is killed goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame, Observation

from kyros_spark.delta import Written
from kyros_spark.digest import digest
from kyros_spark.log import event
from kyros_spark.runs import Run
from kyros_spark.staged import Staged
from kyros_spark.stages.execute import Workplace
from kyros_spark.tables.predictions import predictions as predictions_table

Scored = tuple[DataFrame, Observation]


def staged_predictions(place: Workplace, run: Run) -> Staged:
    """Return the micro-batches of a run's work, which are those of any run of the same work."""
    work = digest([run.fingerprint, place.config.predict.rows_per_micro_batch])
    return Staged(place.tables, predictions_table(place.config.sources.policies), work)


def in_micro_batches(
    run: Run,
    staged: Staged,
    slices: Sequence[DataFrame],
    score: Callable[[DataFrame], Scored],
    where: str,
) -> tuple[Written, dict[str, float] | None]:
    """Score what earlier runs of the same work have not, then show all of it in one commit.

    score: returns a slice's rows, and what is counted while they are written.

    Returns the commit, and the counts added up; None where earlier runs did a part of the work,
    whose counts ended with them.
    """
    before = staged.resume()
    if before:
        event(f"{len(before)} of {len(slices)} micro-batches are there, going on behind them")
    counted: dict[str, float] = {}
    for number, prepared in enumerate(slices):
        if number < len(before):
            continue
        with run.phase("score and write"):
            rows, seen = score(prepared)
            staged.write(number, rows, run.run_id)
        for name, value in seen.get.items():
            counted[name] = counted.get(name, 0) + (value or 0)
        event(f"{run.stage} {run.batch}: micro-batch {number + 1} of {len(slices)} written")
    with run.phase("show"):
        written = staged.show(run.run_id, where)
    run.details["micro_batches"] = {"all": len(slices), "of_earlier_runs": len(before)}
    if before:
        run.details["went_on_from"] = sorted({part.run_id for part in before})
    return written, None if before else counted
