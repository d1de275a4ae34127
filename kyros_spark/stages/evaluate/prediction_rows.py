"""Read stored predictions: of one model as a DataFrame, or of several models as Arrow at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import collected
from kyros_spark.delta.partition_rows import PlainTable, plain_table
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.runs.portfolio import Portfolio

_NUMBER = "_number"
_SCORED_BY = ("model_name", "model_version", "run_id")


@dataclass(frozen=True)
class PredictionSource:
    """Where a model's predictions of a batch are: which version of the table, under which names."""

    table_version: int
    batch: str
    model_name: str
    model_version: str

    def rows(self, tables: DeltaTables) -> DataFrame:
        """Return the rows."""
        rows = tables.read("predictions", self.table_version, [self.batch])
        is_model = F.col("model_name") == self.model_name
        return rows.where(is_model & (F.col("model_version") == self.model_version))


def source_of(model: EvaluatedModel, batch: str) -> PredictionSource:
    """Return where a model's predictions of the batch are that is judged."""
    return PredictionSource(model.version_at, batch, model.name, model.version)


def reference_of(portfolio: Portfolio, model: EvaluatedModel) -> PredictionSource | None:
    """Return where the predictions of the model's first training batch are, if there are any."""
    if not model.trained_on:
        return None
    batch = model.trained_on[0]
    last_run = portfolio.ledger.last_run("predict", batch)
    if last_run is None:
        return None
    version = last_run.outputs["predictions"]
    return PredictionSource(version, batch, model.name, model.version)


def scored_by(
    portfolio: Portfolio, version: int, batch: str, policies: int
) -> list[dict[str, str]]:
    """Return model_name, model_version and run_id of all that a batch was predicted with, once.

    policies: how many the batch has, which decides where they are read
    """
    tables = portfolio.tables
    if policies <= portfolio.config.spark.local_rows:
        table = plain_table(tables, "predictions", version)
        rows = table.distinct({"batch_id": batch}, _SCORED_BY) if table is not None else None
        if rows is not None:
            return rows
    predictions = tables.read("predictions", version, [batch])
    return [row.asDict() for row in predictions.select(*_SCORED_BY).distinct().collect()]


def collected_rows(
    tables: DeltaTables,
    sources: Sequence[PredictionSource],
    key: Sequence[str],
    policies: int,
    most: int,
) -> Iterator[tuple[PredictionSource, pa.Table]]:
    """Yield the rows of each source as Arrow: key, prediction and exposure.

    policies: of a source, about. most: the rows that Spark is asked for at once.
    """
    distinct, plain = list(dict.fromkeys(sources)), dict[int, PlainTable | None]()
    for version in {source.table_version for source in distinct}:
        table = plain_table(tables, "predictions", version)
        plain[version] = None if table is None else table.by_path()
    left: list[PredictionSource] = []
    reads = [partial(_of_files, plain[source.table_version], source, key) for source in distinct]
    for source, read in zip(distinct, _one_ahead(reads), strict=True):
        if read is None:
            left.append(source)
        else:
            yield source, read
    per_read = max(1, most // policies)
    for first in range(0, len(left), per_read):
        asked = left[first : first + per_read]
        rows = collected(_numbered(tables, asked, key), policies * len(asked)).table
        for number, source in enumerate(asked):
            yield source, rows.filter(pc.equal(rows.column(_NUMBER), number))


def _one_ahead(
    reads: Sequence[Callable[[], pa.Table | None]],
) -> Iterator[pa.Table | None]:
    """Yield what each call returns; the next one runs while the caller uses it."""
    with ThreadPoolExecutor(1) as thread:
        before: Future[pa.Table | None] | None = None
        for read in reads:
            coming = thread.submit(read)
            if before is not None:
                yield before.result()
            before = coming
        if before is not None:
            yield before.result()


def _of_files(
    table: PlainTable | None, source: PredictionSource, key: Sequence[str]
) -> pa.Table | None:
    """Return the rows of a source from the table's files; None where only Spark can read them."""
    if table is None:
        return None
    of_model = {"batch_id": source.batch, "model_name": source.model_name}
    rows = table.rows(of_model, [*key, "prediction", "exposure", "model_version"], key)
    if rows is None:
        return None
    is_source = pc.equal(rows.column("model_version"), source.model_version)
    rows = rows.drop_columns(["model_version"])
    return rows if pc.all(is_source).as_py() else rows.filter(is_source)


def _numbered(
    tables: DeltaTables, sources: Sequence[PredictionSource], key: Sequence[str]
) -> DataFrame:
    """Return the rows of all sources, each with its source's number; one scan per table version."""
    scans = []
    by_version = sorted(enumerate(sources), key=lambda pair: pair[1].table_version)
    for version, group in itertools.groupby(by_version, key=lambda pair: pair[1].table_version):
        wanted = list(group)
        rows = tables.read("predictions", version, sorted({s.batch for _, s in wanted}))
        rows = rows.where(F.col("model_name").isin(sorted({s.model_name for _, s in wanted})))
        number = F.lit(None).cast("int")
        for n, source in wanted:
            is_source = (
                (F.col("batch_id") == source.batch)
                & (F.col("model_name") == source.model_name)
                & (F.col("model_version") == source.model_version)
            )
            number = F.when(is_source, n).otherwise(number)
        rows = rows.select(number.alias(_NUMBER), *key, "prediction", "exposure")
        scans.append(rows.where(F.col(_NUMBER).isNotNull()))
    return reduce(DataFrame.unionByName, scans)
