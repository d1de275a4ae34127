"""Score a DataFrame: an iterator pandas UDF over encoded columns, every model in one pass.

The model's bytes are broadcast once. The first worker on a host puts them into the host's store,
and all workers map that file (scoring/host_store.py). Without broadcasts (Spark Connect), the
model's path on shared storage takes their place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from kyros_spark import profiler
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes
from kyros_spark.scoring.bundle import bundle, groups
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scorer import Response, Scorer
from kyros_spark.scoring.worker_models import load
from kyros_spark.scoring.worker_seconds import WorkerSeconds
from kyros_spark.transforms.encode import encoded_sql


@dataclass(frozen=True)
class ScoringModel:
    """A model ready to be sent to the workers: its name, the model with its manifest, its bytes."""

    name: str
    model: Model
    data: bytes

    @property
    def outputs(self) -> list[str]:
        """The names of its predictions: the model's name, or NAME.CLASS for each class."""
        labels = [output.label for output in self.model.manifest.outputs]
        return [f"{self.name}.{label}" for label in labels] or [self.name]


@dataclass(frozen=True)
class _Part:
    """One model of a `_WorkerModel`: its outputs' names and how raw scores become responses."""

    model: str
    outputs: tuple[str, ...]
    response: Response

    def responses(self, raw: np.ndarray) -> dict[str, np.ndarray]:
        """Return float64[n] per output name from raw scores float64[n, outputs]."""
        responses = self.response.apply(raw)
        return {name: responses[:, k] for k, name in enumerate(self.outputs)}


@dataclass(frozen=True)
class _WorkerModel:
    """A model, or several merged into one, as sent to a worker.

    source     its bytes, a broadcast of them, or its path on shared storage
    arguments  the UDF's columns that its features read
    """

    sha256: str
    source: Any
    arguments: tuple[int, ...]
    parts: tuple[_Part, ...]
    kernel: str

    def scorer(self) -> Scorer:
        return Scorer(load(self.sha256, self._bytes), self.kernel)

    def responses(self, scorer: Scorer, columns: list[np.ndarray]) -> dict[str, np.ndarray]:
        raw = scorer.raw([columns[n] for n in self.arguments])
        raw, first = raw.reshape(raw.shape[0], -1), 0
        responses: dict[str, np.ndarray] = {}
        for part in self.parts:
            last = first + len(part.outputs)
            responses |= part.responses(raw[:, first:last])
            first = last
        return responses

    def _bytes(self) -> bytes:
        if isinstance(self.source, str):
            return Path(self.source).read_bytes()
        if isinstance(self.source, bytes):
            return self.source
        data: bytes = self.source.value
        with contextlib.suppress(AttributeError):
            del self.source._value  # else this worker holds a private copy until it ends
        return data


@dataclass(frozen=True)
class ScoreFunction:
    """The pandas UDF that scores models, and its arguments: encodings of prepared columns, as SQL.

    The UDF returns a struct of responses (per unit), one double field per output.
    """

    call: Any
    arguments: tuple[str, ...]

    def column(self) -> Column:
        """Return the struct column, for rows with the columns of table `prepared`."""
        scored: Column = self.call(*map(F.expr, self.arguments))
        return scored


def predictions(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> Column:
    """Return a struct column of the models' responses (per unit), one double field per output."""
    return score_function(spark, served, paths, kernel, report).column()


def score_function(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> ScoreFunction:
    """Return the function that scores the models in one pass.

    It reads columns of table `prepared`; the encodings come from each model's manifest. Tree models
    that can share a bundle are merged into one, so that a row is quantised once for all of them.

    paths   the models' files on shared storage, for a session that cannot broadcast; without paths
            such a session sends the models with each task, as training does for its small ones
    kernel  auto (each worker uses the fastest kernel that its host can run) or a kernel's name
    report  collects from every worker which kernel it used
    """
    inputs, arguments = _inputs(served)
    parts = [_part(model) for model in served]
    workers = []
    models = [scoring_model.model for scoring_model in served]
    for numbers in [[n] for n in range(len(served))] if paths else groups(models):
        first = numbers[0]
        data, reads = served[first].data, arguments[first]
        if len(numbers) > 1:
            columns_by_model = [arguments[n] for n in numbers]
            data = model_to_bytes(bundle([models[n] for n in numbers], columns_by_model))
            reads = tuple(sorted({column for columns in columns_by_model for column in columns}))
        source = paths[first] if paths else _sent(spark, data)
        together = tuple(parts[n] for n in numbers)
        workers.append(_WorkerModel(model_hash(data), source, reads, together, kernel))
    names = [name for scoring_model in served for name in scoring_model.outputs]
    fields = StructType([StructField(name, DoubleType()) for name in names])
    score = F.pandas_udf(_scoring(workers, names, report), fields)  # type: ignore[call-overload]
    return ScoreFunction(score, tuple(inputs))


def _sent(spark: SparkSession, data: bytes) -> Any:
    """Return the broadcast of a model; on Spark Connect its bytes, sent with the function."""
    from kyros_spark.spark.session import can_broadcast  # workers do not need that module

    return spark.sparkContext.broadcast(data) if can_broadcast(spark) else data


def _inputs(served: list[ScoringModel]) -> tuple[list[str], list[tuple[int, ...]]]:
    """Return the distinct inputs as SQL, and for each model the inputs that its features read."""
    inputs: list[str] = []
    input_numbers: dict[str, int] = {}
    arguments = []
    for scoring_model in served:
        impute = scoring_model.model.manifest.kind == "glm"
        reads = []
        for feature in scoring_model.model.manifest.features:
            encoding = f"{feature.model_dump_json()} {impute and feature.kind == 'numeric'}"
            if encoding not in input_numbers:
                input_numbers[encoding] = len(inputs)
                inputs.append(encoded_sql(feature, impute))
            reads.append(input_numbers[encoding])
        arguments.append(tuple(reads))
    return inputs, arguments


def _part(scoring_model: ScoringModel) -> _Part:
    return _Part(
        scoring_model.name,
        tuple(scoring_model.outputs),
        Response.from_manifest(scoring_model.model.manifest),
    )


def _scoring(
    workers: list[_WorkerModel], names: list[str], report: HostReport | None
) -> Callable[[Iterator[tuple[pd.Series, ...]]], Iterator[pd.DataFrame]]:
    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        with profiler.profiled("predict-worker"):
            yield from scored(batches)

    def scored(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        scorers = [worker.scorer() for worker in workers]
        seconds = WorkerSeconds()
        for batch in seconds.exchanged(batches):
            # Spark passes a single argument bare, not as a tuple of one.
            batch_columns = batch if isinstance(batch, tuple) else (batch,)
            columns = [series.to_numpy() for series in batch_columns]
            seconds.charge("conversion")
            responses: dict[str, np.ndarray] = {}
            for worker, scorer in zip(workers, scorers, strict=True):
                responses |= worker.responses(scorer, columns)
            seconds.charge("kernel")
            rows = pd.DataFrame({name: responses[name] for name in names})
            seconds.charge("conversion")
            yield rows
        if report is not None:
            report.spend(
                seconds.split_out("kernel", "quantise", [s.quantise_seconds for s in scorers])
            )
            for worker, scorer in zip(workers, scorers, strict=True):
                for part in worker.parts:
                    report.add(part.model, scorer)

    return score
