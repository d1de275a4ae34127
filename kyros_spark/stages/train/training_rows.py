"""Hold the training batches' rows where models are fitted: in this process, or on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.rows import ExecutorRows, RowSource, collected, in_process
from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.delta.batch_files import batch_rows
from kyros_spark.fitting.balance import EXCESS
from kyros_spark.fitting.sample import DRAW, with_draw
from kyros_spark.fitting.train_model import chosen_features
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.spark.persisted import persisted
from kyros_spark.tables.ddl import quoted

PreparedRuns = dict[str, LastRun]


class TrainingRows:
    """The rows of the training batches.

    frame: all columns of table prepared, for what Spark has to compute
    is_local: whether there are at most spark.local_rows of them
    """

    def __init__(
        self,
        frame: DataFrame,
        columns: Iterable[str],
        is_local: bool,
        read_files: Callable[[list[str]], pa.Table | None] = lambda columns: None,
    ) -> None:
        """Take the frame and the columns that models need; nothing is read yet.

        read_files: returns columns of all rows without Spark, or None where Spark has to read
        """
        self.frame = frame
        self.is_local = is_local
        self._columns = list(columns)
        self._read_files = read_files

    @cached_property
    def shared(self) -> RowSource:
        """The rows with the columns that models need; they are read at most once."""
        chosen = self.frame.select(*map(quoted, self._columns))
        if not self.is_local:
            return ExecutorRows(chosen)
        in_files = self._read_files(self._columns)
        return collected(chosen) if in_files is None else in_process(in_files)

    def of(self, model: ModelSettings) -> RowSource:
        """Return the rows for a model: those of the executors if it is MLlib that fits it."""
        if model.method == "glm" and model.glm.solver == "mllib":
            return ExecutorRows(self.frame)
        return self.shared

    @contextmanager
    def held(self, frame: DataFrame, more: Sequence[str]) -> Iterator[RowSource]:
        """Hold another frame of such rows, with further columns, for the block."""
        chosen = frame.select(*map(quoted, [*self._columns, *more]))
        if self.is_local:
            yield collected(chosen)
        else:
            with persisted(chosen) as rows:
                yield ExecutorRows(rows)


@contextmanager
def training_rows(
    portfolio: Portfolio, prepared_runs: PreparedRuns, models: Mapping[str, ModelSettings]
) -> Iterator[TrainingRows]:
    """Open the training batches' rows for the block.

    models: those that may be fitted or judged, by name
    """
    config = portfolio.config
    frame = _prepared(portfolio, prepared_runs)
    if any(model.boosting.rows for model in models.values()):
        frame = with_draw(frame, config.sources.policies.key)
    needed = [model_columns(name, model, config.prepare) for name, model in models.items()]
    columns = dict.fromkeys(column for of_model in needed for column in of_model)
    count = sum(last_run.rows_out for last_run in prepared_runs.values())
    if count <= config.spark.local_rows:
        # Of plain files the JVM would do nothing but read and hand over, for seconds of CPU.
        yield TrainingRows(
            frame, columns, is_local=True, read_files=partial(_in_files, portfolio, prepared_runs)
        )
    else:
        with persisted(frame) as rows:
            yield TrainingRows(rows, columns, is_local=False)


def model_columns(name: str, model: ModelSettings, prepare: PrepareSettings) -> list[str]:
    """Return the columns of table prepared that a model needs, each once."""
    columns = ["exposure", "split", model.target, model.per]
    columns += [EXCESS] if model.large_loss_load else []
    columns += [DRAW] if model.boosting.rows else []
    columns += chosen_features(name, model, prepare) if model.method != "composite" else []
    columns += model.by
    return list(dict.fromkeys(columns))


def _prepared(portfolio: Portfolio, prepared_runs: PreparedRuns) -> DataFrame:
    frames = [
        portfolio.tables.read("prepared", last_run.outputs["prepared"], [batch])
        for batch, last_run in prepared_runs.items()
    ]
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def _in_files(
    portfolio: Portfolio, prepared_runs: PreparedRuns, columns: list[str]
) -> pa.Table | None:
    """Return columns of the batches from their files, or None where only Spark can read them."""
    parts = []
    for batch, last_run in prepared_runs.items():
        rows = batch_rows(
            portfolio.tables, "prepared", last_run.outputs["prepared"], batch, columns
        )
        if rows is None or rows.num_rows != last_run.rows_out:
            return None
        parts.append(rows)
    with suppress(pa.ArrowInvalid):  # batches of different types, which Spark makes alike
        return pa.concat_tables(parts)
    return None
