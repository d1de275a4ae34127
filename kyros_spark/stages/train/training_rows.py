"""Hold the training batches' rows where models are fitted: in this process, or on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

from pyspark.sql import DataFrame

from kyros_spark.aggregates.rows import ExecutorRows, RowSource, collected
from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.fitting.balance import EXCESS
from kyros_spark.fitting.sample import DRAW, with_draw
from kyros_spark.fitting.train_model import chosen_features
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.spark.persisted import persisted
from kyros_spark.tables.ddl import quoted

PreparedRuns = dict[str, LastRun]


class TrainingRows:
    """The rows of the training batches.

    frame: all columns of table prepared, for what Spark has to compute
    files: the same rows as they are in the table's files
    is_local: whether there are at most spark.local_rows of them
    """

    def __init__(
        self, frame: DataFrame, files: BatchRows, columns: Iterable[str], is_local: bool
    ) -> None:
        """Take the frame and the columns that models need; nothing is read yet."""
        self.frame = frame
        self.is_local = is_local
        self._files, self._columns = files, list(columns)

    @cached_property
    def shared(self) -> RowSource:
        """The rows with the columns that models need; they are read at most once."""
        if self.is_local and DRAW not in self._columns:
            return self._files.select(self._columns)
        chosen = self.frame.select(*map(quoted, self._columns))
        return collected(chosen, self._files.policies) if self.is_local else ExecutorRows(chosen)

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
            yield collected(chosen, self._files.policies)
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
    files = BatchRows(portfolio, "prepared", prepared_runs, count)
    if count <= config.spark.local_rows:
        yield TrainingRows(frame, files, columns, is_local=True)
    else:
        with persisted(frame) as rows:
            yield TrainingRows(rows, files, columns, is_local=False)


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
