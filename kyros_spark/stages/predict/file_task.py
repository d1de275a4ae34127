"""Predict some row groups in a task: read them, score them, write the rows of `predictions`."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from kyros_spark.delta.part_files import NewFiles, PartFile
from kyros_spark.delta.row_groups import RowGroups, batches
from kyros_spark.errors import DamagedFileError, KyrosError, PlatformError
from kyros_spark.model.predicted_column import ROWS
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.prediction_pass import PredictedBatch, PredictionPass
from kyros_spark.scoring.prediction_values import Totals, summed

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_ROWS_PER_ROW_GROUP = 1_000_000  # of all outputs' files together, whose pages a task holds


@dataclass(frozen=True)
class FileTask:
    """The row groups that one task predicts, and its number."""

    number: int
    parts: tuple[RowGroups, ...]

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True)
class Done:
    """What a task did: the add actions of its files, its totals, the bytes of the files it read.

    fault: the class and message of our own error that ended it; it then left no file.
    """

    adds: tuple[dict[str, Any], ...]
    totals: Totals
    bytes_read: int = 0
    fault: tuple[str, str] | None = None


@dataclass(frozen=True)
class FilePrediction:
    """What all tasks of a commit have to know; each is called with its row groups.

    columns: those of `prepared` to read; codes: the texts among them.
    constants: of the rows of `predictions`, by column.
    """

    predict: PredictionPass
    files: NewFiles
    columns: tuple[str, ...]
    codes: tuple[str, ...]
    rows_per_batch: int
    constants: dict[str, str | datetime]
    report: HostReport

    def __call__(self, task: FileTask) -> Done:
        """Predict the row groups of a task."""
        most = max(_ROWS_PER_ROW_GROUP // len(self.predict.outputs), self.rows_per_batch)
        written = [
            PartFile(self.files, partition, task.number, most)
            for partition in self.files.partitions
        ]
        try:
            totals = summed(list(self._written(task, written)))
            adds = [file.end() for file in written]
        except BaseException as error:
            for file in written:
                file.abandon()
            return Done((), {}, fault=_fault(self.files, error))
        sizes = sum(part.size * part.rows // max(sum(part.counts), 1) for part in task.parts)
        return Done(tuple(add for add in adds if add is not None), totals, sizes)

    def _written(self, task: FileTask, written: list[PartFile]) -> Iterator[Totals]:
        """Write the files batch by batch; yield the totals of each batch."""
        reading, writing = _Timed(), 0.0
        rows = (
            batch
            for part in task.parts
            for batch in batches(part, self.columns, self.codes, self.rows_per_batch)
        )
        for predicted in self.predict.predicted(reading.through(rows), self.report):
            since = time.perf_counter()
            for number, file in enumerate(written):
                file.write(self._rows(predicted, number))
            writing += time.perf_counter() - since
            yield predicted.totals
        spent = {"read_files": reading.seconds, "write_files": writing}
        self.report.spend({**spent, "exchange": -sum(spent.values())})

    def _rows(self, predicted: PredictedBatch, number: int) -> pa.RecordBatch:
        """Return rows of `predictions` as its files have them."""
        count, version = predicted.totals[ROWS], self.predict.outputs[number].version
        constants = {**self.constants, "model_version": version}
        columns = {**predicted.shared, **predicted.of_outputs[number]}
        arrays = []
        for field in self.files.schema:
            if field.name in columns:
                arrays.append(columns[field.name])
            else:  # a column that only the table knows is NULL
                constant = pa.scalar(constants.get(field.name), field.type)
                arrays.append(pa.repeat(constant, count))
        return pa.RecordBatch.from_arrays(arrays, schema=self.files.schema)


def _fault(files: NewFiles, error: BaseException) -> tuple[str, str]:
    """Return our own error's class and message; raise any other, for which Spark tries again."""
    if isinstance(error, KyrosError):
        return type(error).__name__, str(error)
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        message = (
            f"table {files.table}: expected a folder that tasks can write, found {files.folder} to "
            f"be none ({error}); give Spark's user the right to write there"
        )
        return PlatformError.__name__, message
    if isinstance(error, OSError) and files.store.is_remote:
        # What tasks are refused there, Spark may be allowed: it takes the batch.
        message = f"{files.folder} cannot be written by tasks: {error}"
        return DamagedFileError.__name__, message
    raise error


class _Timed:
    """Counts the seconds that an iterator takes to give its next item."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def through(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        while True:
            since = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - since
            if batch is None:
                return
            yield batch
