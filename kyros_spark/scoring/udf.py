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

from kyros_spark.model.artefact import Model, model_hash
from kyros_spark.scoring.host import load
from kyros_spark.scoring.scorer import Scorer
from kyros_spark.transforms.encode import encoded


@dataclass(frozen=True)
class Served:
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
class _OnWorker:
    """What a worker gets of a model: its hash, where its bytes are, which arguments are its own."""

    sha256: str
    source: Any
    arguments: tuple[int, ...]
    kernel: str

    def scorer(self) -> Scorer:
        return Scorer(load(self.sha256, self._bytes), self.kernel)

    def _bytes(self) -> bytes:
        if isinstance(self.source, str):
            return Path(self.source).read_bytes()
        data: bytes = self.source.value
        with contextlib.suppress(AttributeError):
            del self.source._value  # else this worker keeps a private copy for as long as it lives
        return data


def predictions(
    spark: SparkSession,
    served: list[Served],
    paths: list[str] | None = None,
    kernel: str = "auto",
) -> Column:
    """Return a struct column of the models' responses (per unit), one double field an output.

    The columns it reads are those of table `prepared`; encodings come from each model's manifest.
    paths: the models' files on shared storage, for a session that cannot broadcast.
    kernel: auto (each worker takes the fastest its host runs), avx512vbmi or portable.
    """
    inputs: list[Column] = []
    places: dict[str, int] = {}
    workers = []
    for number, one in enumerate(served):
        impute = one.model.manifest.kind == "glm"
        arguments = []
        for feature in one.model.manifest.features:
            same = f"{feature.model_dump_json()} {impute and feature.kind == 'numeric'}"
            if same not in places:
                places[same] = len(inputs)
                inputs.append(encoded(feature, impute))
            arguments.append(places[same])
        source = paths[number] if paths else spark.sparkContext.broadcast(one.data)
        workers.append(_OnWorker(model_hash(one.data), source, tuple(arguments), kernel))
    names = [one.outputs for one in served]
    fields = [StructField(name, DoubleType()) for each in names for name in each]
    score = F.pandas_udf(_scoring(workers, names), StructType(fields))  # type: ignore[call-overload]
    return score(*inputs)


def _scoring(
    workers: list[_OnWorker], names: list[list[str]]
) -> Callable[[Iterator[tuple[pd.Series, ...]]], Iterator[pd.DataFrame]]:
    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        scorers = [worker.scorer() for worker in workers]
        for batch in batches:
            # Spark passes a single argument bare, not as a tuple of one.
            given = batch if isinstance(batch, tuple) else (batch,)
            columns = [_values(series) for series in given]
            found: dict[str, np.ndarray] = {}
            for outputs, worker, scorer in zip(names, workers, scorers, strict=True):
                response = scorer.response([columns[n] for n in worker.arguments])
                each = response.T if response.ndim == 2 else [response]
                found |= dict(zip(outputs, each, strict=True))
            yield pd.DataFrame(found)

    return score


def _values(series: pd.Series) -> np.ndarray:
    return series.to_numpy()
