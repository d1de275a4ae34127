"""Score batches of encoded columns, every model in one pass: on a worker, or in the driver.

Tree models that can share a bundle are merged into one, so that a row is quantised once for all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kyros_spark import profiler
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes
from kyros_spark.model.manifest import Feature
from kyros_spark.scoring.arrow_features import encoded as encode
from kyros_spark.scoring.bundle import bundle, groups
from kyros_spark.scoring.scorer import Response, Scorer
from kyros_spark.scoring.worker_models import load
from kyros_spark.scoring.worker_seconds import WorkerSeconds

if TYPE_CHECKING:  # workers need no accumulators to score, and no stage but predict pandas
    import pandas as pd

    from kyros_spark.scoring.host_report import HostReport

    Batch = tuple[pd.Series, ...]
Input = tuple[Feature, bool]  # a feature, and whether a missing number is replaced


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
class ModelPart:
    """One model of a `PassModel`: its outputs' names and how raw scores become responses."""

    model: str
    outputs: tuple[str, ...]
    response: Response

    def responses(self, raw: np.ndarray) -> dict[str, np.ndarray]:
        """Return float64[n] per output name from raw scores float64[n, outputs]."""
        responses = self.response.apply(raw)
        return {name: responses[:, k] for k, name in enumerate(self.outputs)}


@dataclass(frozen=True)
class PassModel:
    """A model, or several merged into one, as sent to a worker.

    source     its bytes, a broadcast of them, or its path on shared storage
    arguments  the UDF's columns that its features read
    """

    sha256: str
    source: Any
    arguments: tuple[int, ...]
    parts: tuple[ModelPart, ...]
    kernel: str

    def mapped(self) -> Model:
        """Return the model in this process, from the file that the host keeps."""
        return load(self.sha256, self._bytes)

    def scorer(self) -> Scorer:
        """Return what scores it in this process."""
        return Scorer(self.mapped(), self.kernel)

    def responses(self, scorer: Scorer, columns: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Return float64[n] per output name, from all columns of the pass."""
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


def inputs_of(served: list[ScoringModel]) -> tuple[list[Input], list[tuple[int, ...]]]:
    """Return the distinct inputs, and for each model the numbers of those its features read."""
    inputs: list[Input] = []
    input_numbers: dict[str, int] = {}
    arguments = []
    for scoring_model in served:
        impute = scoring_model.model.manifest.kind == "glm"
        reads = []
        for feature in scoring_model.model.manifest.features:
            encoding = f"{feature.model_dump_json()} {impute and feature.kind == 'numeric'}"
            if encoding not in input_numbers:
                input_numbers[encoding] = len(inputs)
                inputs.append((feature, impute))
            reads.append(input_numbers[encoding])
        arguments.append(tuple(reads))
    return inputs, arguments


def scores(
    served: list[ScoringModel],
    batches: Iterable[pa.RecordBatch],
    kernel: str = "auto",
    report: HostReport | None = None,
) -> dict[str, np.ndarray]:
    """Score rows in this process, as the UDF does on the workers; return float64[n] per output.

    batches: rows of table `prepared`; at least one batch.
    """
    import pandas as pd

    inputs, arguments = inputs_of(served)
    encoded = (
        tuple(pd.Series(encode(f, batch.column(f.name), impute)) for f, impute in inputs)
        for batch in batches
    )
    workers = pass_models(served, arguments, kernel, lambda _, data: data)
    names = [name for scoring_model in served for name in scoring_model.outputs]
    batches = list(scoring_pass(workers, names, report)(encoded))
    return {n: np.concatenate([batch[n].to_numpy() for batch in batches]) for n in names}


def pass_models(
    served: list[ScoringModel],
    arguments: list[tuple[int, ...]],
    kernel: str,
    source: Callable[[int, bytes], Any],
    together: list[list[int]] | None = None,
) -> list[PassModel]:
    """Return what a worker scores: the models, those that can share a bundle merged into one.

    source: makes of a model's number and bytes what is sent. together: the numbers of the models
    to merge; by default as many as can be.
    """
    parts = [_part(model) for model in served]
    models = [scoring_model.model for scoring_model in served]
    workers = []
    for numbers in groups(models) if together is None else together:
        first = numbers[0]
        data, reads = served[first].data, arguments[first]
        if len(numbers) > 1:
            columns_by_model = [arguments[n] for n in numbers]
            data = model_to_bytes(bundle([models[n] for n in numbers], columns_by_model))
            reads = tuple(sorted({column for columns in columns_by_model for column in columns}))
        members = tuple(parts[n] for n in numbers)
        workers.append(PassModel(model_hash(data), source(first, data), reads, members, kernel))
    return workers


def _part(scoring_model: ScoringModel) -> ModelPart:
    return ModelPart(
        scoring_model.name,
        tuple(scoring_model.outputs),
        Response.from_manifest(scoring_model.model.manifest),
    )


def scoring_pass(
    workers: list[PassModel], names: list[str], report: HostReport | None
) -> Callable[[Iterator[Batch]], Iterator[pd.DataFrame]]:
    """Return the function that scores batches of columns; each result has a column per name."""
    import pandas as pd

    def score(batches: Iterator[Batch]) -> Iterator[pd.DataFrame]:
        with profiler.profiled("predict-worker"):
            yield from scored(batches)

    def scored(batches: Iterator[Batch]) -> Iterator[pd.DataFrame]:
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
                    report.add(part.model, scorer.describe())

    # Spark takes the kind of function from its types, which name pandas.
    score.__annotations__ = {
        "batches": Iterator[tuple[pd.Series, ...]],
        "return": Iterator[pd.DataFrame],
    }
    return score
