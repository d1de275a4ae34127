"""Score a DataFrame: an iterator pandas UDF over encoded columns, every model in one pass.

The model's bytes are broadcast once; the first worker on a host puts them into the host's store,
and all map that file (scoring/store.py). Without a broadcast (Spark Connect) the model's path on
shared storage does the same.
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
    """A model ready to be sent to the workers: its name, manifest-bearing model, and bytes."""

    name: str
    model: Model
    data: bytes

    @property
    def outputs(self) -> list[str]:
        """The names of what it predicts: its own, or NAME.CLASS of each class."""
        labels = [output.label for output in self.model.manifest.outputs]
        return [f"{self.name}.{label}" for label in labels] or [self.name]


@dataclass(frozen=True)
class _Part:
    """A model's share of what a worker scores: its outputs' names, and how raw becomes response."""

    model: str
    outputs: tuple[str, ...]
    response: Response

    def responses(self, raw: np.ndarray) -> dict[str, np.ndarray]:
        """Return float64[n] by output name, of raw scores float64[n, outputs]."""
        found = self.response.to(raw)
        return {name: found[:, k] for k, name in enumerate(self.outputs)}


@dataclass(frozen=True)
class _OnWorker:
    """What a worker gets of a model, or of several laid together: hash, bytes, arguments, parts."""

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
        found: dict[str, np.ndarray] = {}
        for part in self.parts:
            last = first + len(part.outputs)
            found |= part.responses(raw[:, first:last])
            first = last
        return found

    def _bytes(self) -> bytes:
        if isinstance(self.source, str):
            return Path(self.source).read_bytes()
        if isinstance(self.source, bytes):
            return self.source
        data: bytes = self.source.value
        with contextlib.suppress(AttributeError):
            del self.source._value  # else this worker keeps a private copy for as long as it lives
        return data


@dataclass(frozen=True)
class ScoreFunction:
    """The pandas UDF that scores models, and its arguments: encodings of prepared columns, as SQL.

    It returns a struct of responses (per unit), one double field an output.
    """

    call: Any
    arguments: tuple[str, ...]

    def column(self) -> Column:
        """Return the struct column, for rows that hold what table `prepared` holds."""
        scored: Column = self.call(*map(F.expr, self.arguments))
        return scored


def predictions(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> Column:
    """Return a struct column of the models' responses (per unit), one double field an output."""
    return score_function(spark, served, paths, kernel, report).column()


def score_function(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> ScoreFunction:
    """Return the function that scores the models in one pass.

    The columns it reads are those of table `prepared`; encodings come from each model's manifest.
    Tree models that can are laid into one, which quantises a row once for all of them.
    paths: the models' files on shared storage, for a session that cannot broadcast; without them
        such a session sends each task the models, as training does for its own small ones.
    kernel: auto (each worker takes the fastest its host runs), or the name of one.
    report: told by every worker which kernel it used.
    """
    inputs, arguments = _inputs(served)
    parts = [_part(one) for one in served]
    workers = []
    models = [one.model for one in served]
    for numbers in [[n] for n in range(len(served))] if paths else groups(models):
        first = numbers[0]
        data, reads = served[first].data, arguments[first]
        if len(numbers) > 1:
            own = [arguments[n] for n in numbers]
            data = model_to_bytes(bundle([models[n] for n in numbers], own))
            reads = tuple(sorted({place for places in own for place in places}))
        source = paths[first] if paths else _sent(spark, data)
        together = tuple(parts[n] for n in numbers)
        workers.append(_OnWorker(model_hash(data), source, reads, together, kernel))
    names = [name for one in served for name in one.outputs]
    fields = StructType([StructField(name, DoubleType()) for name in names])
    score = F.pandas_udf(_scoring(workers, names, report), fields)  # type: ignore[call-overload]
    return ScoreFunction(score, tuple(inputs))


def _sent(spark: SparkSession, data: bytes) -> Any:
    """Return the broadcast of a model; on Spark Connect its bytes, which go with the function."""
    from kyros_spark.spark.session import can_broadcast  # workers do without that module

    return spark.sparkContext.broadcast(data) if can_broadcast(spark) else data


def _inputs(served: list[ScoringModel]) -> tuple[list[str], list[tuple[int, ...]]]:
    """Return the distinct inputs as SQL, and of each model which of them its features read."""
    inputs: list[str] = []
    places: dict[str, int] = {}
    arguments = []
    for one in served:
        impute = one.model.manifest.kind == "glm"
        own = []
        for feature in one.model.manifest.features:
            same = f"{feature.model_dump_json()} {impute and feature.kind == 'numeric'}"
            if same not in places:
                places[same] = len(inputs)
                inputs.append(encoded_sql(feature, impute))
            own.append(places[same])
        arguments.append(tuple(own))
    return inputs, arguments


def _part(one: ScoringModel) -> _Part:
    return _Part(one.name, tuple(one.outputs), Response.of(one.model.manifest))


def _scoring(
    workers: list[_OnWorker], names: list[str], report: HostReport | None
) -> Callable[[Iterator[tuple[pd.Series, ...]]], Iterator[pd.DataFrame]]:
    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        with profiler.profiled("predict-worker"):
            yield from scored(batches)

    def scored(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        scorers = [worker.scorer() for worker in workers]
        spent = WorkerSeconds()
        for batch in spent.exchanged(batches):
            # Spark passes a single argument bare, not as a tuple of one.
            given = batch if isinstance(batch, tuple) else (batch,)
            columns = [series.to_numpy() for series in given]
            spent.charge("conversion")
            found: dict[str, np.ndarray] = {}
            for worker, scorer in zip(workers, scorers, strict=True):
                found |= worker.responses(scorer, columns)
            spent.charge("kernel")
            rows = pd.DataFrame({name: found[name] for name in names})
            spent.charge("conversion")
            yield rows
        if report is not None:
            report.spend(spent.moved("kernel", "quantise", [s.quantise_seconds for s in scorers]))
            for worker, scorer in zip(workers, scorers, strict=True):
                for part in worker.parts:
                    report.add(part.model, scorer)

    return score
