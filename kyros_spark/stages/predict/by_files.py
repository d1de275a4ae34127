"""Predict a batch from the files of `prepared`: tasks read and write Parquet, no row passes Spark.

Where the files do not tell the rows for certain, NotCertain says why, and nothing was committed but
micro-batches, which are the same by either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import errors
from kyros_spark.delta.file_commit import FileCommit
from kyros_spark.delta.listed_files import NotCertain, listed_files
from kyros_spark.delta.row_groups import RowGroups
from kyros_spark.delta.slices import grouped
from kyros_spark.delta.staging import can_stage
from kyros_spark.delta.where import Where
from kyros_spark.log import event
from kyros_spark.model.predicted_column import ROWS
from kyros_spark.runs.micro_batches import gathered, staged_write
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.prediction_pass import PredictionPass
from kyros_spark.scoring.prediction_values import Totals, summed
from kyros_spark.scoring.scoring_pass import inputs_of, pass_models
from kyros_spark.scoring.udf import sent
from kyros_spark.spark.session import can_broadcast, task_slots
from kyros_spark.stages.predict.file_task import Done, FilePrediction, FileTask
from kyros_spark.stages.predict.in_process import columns_read
from kyros_spark.stages.predict.scoring_input import ScoringInput
from kyros_spark.stages.predict.scoring_plan import ScoringPlan
from kyros_spark.storage.traffic import count_read
from kyros_spark.tables.predictions import predictions as predictions_table

_ROWS_PER_TASK = (50_000, 1_000_000)  # at least, at most
# Columns of few different values, which Parquet writes as codes.
_REPEATED = ("model_version", "exposure", "predicted_at", "run_id")


class FilePredictor:
    """Predicts one batch by files."""

    def __init__(
        self, scoring_input: ScoringInput, run: Run, plan: ScoringPlan, report: HostReport
    ) -> None:
        """Take what is to be scored; nothing is read yet."""
        self._input, self._run, self._plan, self._report = scoring_input, run, plan, report
        self._portfolio = scoring_input.portfolio
        self._columns = columns_read(plan, self._portfolio.config)

    def predict(self, where: Where) -> Totals | None:
        """Replace the rows of ``where`` in `predictions`; return the totals of the whole batch.

        None where micro-batches of earlier runs did not tell theirs.

        Raises:
            NotCertain: Spark has to read the batch.
        """
        run, config = self._run, self._portfolio.config
        with run.phase("plan"):
            parts = self._parts(config.predict.rows_per_micro_batch)
            self._broadcast()
        table = predictions_table(config.sources.policies)
        if len(parts) > 1:
            staged = staged_write(self._portfolio, run)
            write = partial(self._write, parts)

            def write_part(number: int) -> Totals | None:
                return staged.write(number, partial(write, number), run.run_id)

            written, totals = gathered(run, staged, len(parts), write_part, where)
            run.outputs["predictions"] = written
            kept = [part for part in totals if part is not None]
            return summed(kept) if len(kept) == len(parts) else None
        whole: list[Totals] = []

        def write_whole(commit: FileCommit) -> None:
            whole.append(self._write(parts, 0, commit))

        with run.phase("write"):
            replaced = self._portfolio.tables.replace_by_tasks(
                table, run.run_id, where, write_whole, batch=run.batch
            )
        if replaced is None:
            raise NotCertain("table predictions is not plain")
        run.outputs["predictions"] = replaced
        return whole[0]

    def _parts(self, rows: int) -> list[list[RowGroups]]:
        """Return the batch's files in micro-batches of about so many rows, as Spark's would be."""
        source, tables = self._input, self._portfolio.tables
        if source.fused:
            raise NotCertain("features are computed on the way, from table policies")
        if not can_broadcast(tables.spark):
            raise NotCertain("a Spark Connect session starts no tasks of ours")
        version = source.source_run.outputs[source.table]
        files = listed_files(tables, source.table, version, source.batch, self._columns)
        total = sum(file.rows for file in files)
        if total != source.row_count or not total:
            raise NotCertain(f"{total} rows are listed, of {source.row_count} prepared")
        if total <= rows or not can_stage(tables, "predictions"):
            return [files]
        return grouped([(file, file.rows) for file in files], rows)

    def _broadcast(self) -> None:
        """Send the models to the workers, once for all micro-batches."""
        spark, plan, config = self._portfolio.spark, self._plan, self._portfolio.config
        inputs, arguments = inputs_of(plan.models)
        models = pass_models(
            plan.models, arguments, config.predict.kernel, lambda _, data: sent(spark, data)
        )
        names = tuple(name for model in plan.models for name in model.outputs)
        self._pass = PredictionPass(
            tuple(models), names, tuple(inputs), tuple(plan.features), tuple(plan.outputs),
            config.sources.policies.key,
        )  # fmt: skip

    def _write(self, parts: Sequence[list[RowGroups]], number: int, commit: FileCommit) -> Totals:
        """Let tasks write the files of one commit; return their totals.

        Raises:
            NotCertain: the tasks cannot write the table, or found files other than as listed.
        """
        run, plan, config = self._run, self._plan, self._portfolio.config
        partitions = [{"batch_id": run.batch, "model_name": o.name} for o in plan.outputs]
        files = commit.files_of_tasks(partitions, _REPEATED)
        if files is None:
            raise NotCertain("table predictions is not on a file system that tasks open")
        work = FilePrediction(
            predict=self._pass,
            files=files,
            columns=tuple(self._columns),
            codes=tuple(f.name for f in plan.features if f.kind == "levels" and not f.cuts),
            rows_per_batch=config.predict.rows_per_arrow_batch,
            constants={"predicted_at": datetime.now(UTC), "run_id": run.run_id},
            report=self._report,
        )
        done = _run_tasks(self._portfolio.spark, work, parts[number])
        totals, rows = summed([part.totals for part in done]), sum(f.rows for f in parts[number])
        commit.take([add for part in done for add in part.adds], run.batch)
        if totals[ROWS] != rows or commit.rows != rows * len(plan.outputs):
            raise NotCertain(f"{commit.rows} rows were written for {rows} that are listed")
        count_read(sum(part.bytes_read for part in done))
        return totals


def _run_tasks(spark: SparkSession, work: FilePrediction, files: list[RowGroups]) -> list[Done]:
    tasks = list(tasks_of(files, task_slots(spark)))
    done: list[Done] = spark.sparkContext.parallelize(tasks, len(tasks)).map(work).collect()
    for kind, message in (part.fault for part in done if part.fault is not None):
        if kind == errors.DamagedFileError.__name__:
            raise NotCertain(message)
        raise getattr(errors, kind)(message)
    return done


def tasks_of(files: Iterable[RowGroups], slots: int) -> Iterator[FileTask]:
    """Divide files into tasks of about as many rows, by row groups."""
    groups = [
        RowGroups(file.path, file.size, file.counts, (number,), file.store)
        for file in files
        for number in file.numbers
    ]
    least, most = _ROWS_PER_TASK
    share = -(-sum(group.rows for group in groups) // slots)
    rows = min(max(share, least), most)
    for number, parts in enumerate(grouped([(group, group.rows) for group in groups], rows)):
        yield FileTask(number, tuple(parts))


def say_why_not(run: Run, reason: NotCertain) -> dict[str, Any]:
    """Tell that Spark reads the batch, and return it for the run's details."""
    event(f"{run.stage} {run.batch}: Spark reads the batch, not tasks its files: {reason}")
    return {"by": "spark", "because": str(reason)}
