"""Read rows of prepared batches and of predictions: in this process if they fit, else in Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource, collected
from kyros_spark.delta.partition_rows import partition_rows
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.tables.ddl import quoted

SCORES = ("exposure", "prediction", "lower", "upper")


def prepared_rows(
    portfolio: Portfolio, batches: Mapping[str, LastRun], columns: Sequence[str]
) -> RowSource:
    """Return columns of prepared batches, each as its run left it."""
    parts = {batch: run.outputs["prepared"] for batch, run in batches.items()}
    count = sum(run.rows_out for run in batches.values())
    tables, whole = portfolio.tables, list[pa.Table]()
    if 0 < count <= portfolio.config.spark.local_rows:
        for batch, version in parts.items():
            rows = partition_rows(tables, "prepared", version, {"batch_id": batch}, columns)
            whole += [] if rows is None else [rows]
        if len(whole) == len(parts):
            return DriverRows(pa.concat_tables(whole).unify_dictionaries())
    names = [quoted(name) for name in columns]
    frames = [tables.read("prepared", v, [b]).select(*names) for b, v in parts.items()]
    frame = reduce(DataFrame.unionByName, frames)
    return collected(frame) if count <= portfolio.config.spark.local_rows else ExecutorRows(frame)


def prediction_rows(
    portfolio: Portfolio, predicted: Mapping[str, LastRun], model: str, count: int
) -> RowSource:
    """Return a model's predictions of batches, with exposure and intervals.

    count: the number of policies.
    """
    tables, whole = portfolio.tables, list[pa.Table]()
    parts = {batch: run.outputs["predictions"] for batch, run in predicted.items()}
    is_few = count <= portfolio.config.spark.local_rows
    if is_few:
        for batch, version in parts.items():
            partition = {"batch_id": batch, "model_name": model}
            rows = partition_rows(tables, "predictions", version, partition, SCORES)
            whole += [] if rows is None else [rows]
        if len(whole) == len(parts):
            return DriverRows(pa.concat_tables(whole))
    of_model = F.col("model_name") == model
    frames = [tables.read("predictions", v, [b]).where(of_model) for b, v in parts.items()]
    frame = reduce(DataFrame.unionByName, [part.select(*SCORES) for part in frames])
    return collected(frame) if is_few else ExecutorRows(frame)
