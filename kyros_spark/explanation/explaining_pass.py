"""Explain batches of `prepared`, every price in one pass: on a worker, or in the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from kyros_spark.explanation.explainer import Explainer
from kyros_spark.explanation.price import ExplainedRows, Price, explained_rows
from kyros_spark.explanation.worker_explainers import explainer
from kyros_spark.kernels.cpu import describe_host
from kyros_spark.scoring.arrow_features import encoded
from kyros_spark.scoring.scoring_pass import Input, PassModel

Explain = Callable[[pa.RecordBatch], list[ExplainedRows]]
ExplainEncoded = Callable[[Sequence[np.ndarray]], list[ExplainedRows]]


@dataclass(frozen=True)
class ExplainingModel:
    """A model as sent to a worker, and what its contributions are measured against.

    scored: how the model itself is scored. reference_terms, background: as `Explainer` takes them.
    """

    scored: PassModel
    kernel: str
    max_table_bytes: int
    reference_terms: np.ndarray | None = None
    background: tuple[np.ndarray, ...] | None = None

    def describe(self) -> dict[str, object]:
        """Return the kernel that explains it here, and the facts that decided it."""
        return {"kernel": self.explainer().kernel, **describe_host()}

    def explainer(self) -> Explainer:
        """Return what explains it in this process, built once."""
        return explainer(self._key, self._build)

    @cached_property
    def _key(self) -> str:
        """Return a hash of all that the explainer is built from."""
        parts = [self.scored.sha256, self.kernel, str(self.max_table_bytes)]
        key = hashlib.sha256(" ".join(parts).encode())
        for array in (self.reference_terms, *(self.background or ())):
            key.update(b"|" if array is None else array.tobytes())
        return key.hexdigest()

    def _build(self) -> Explainer:
        return Explainer(
            self.scored.mapped(),
            self.kernel,
            self.max_table_bytes,
            self.reference_terms,
            self.background,
        )


@dataclass(frozen=True)
class ExplainingPass:
    """All prices of a run, and the models behind them.

    inputs: the encoded columns that the models read, each once.
    """

    models: tuple[ExplainingModel, ...]
    inputs: tuple[Input, ...]
    prices: tuple[Price, ...]

    def opened(self) -> Explain:
        """Return the function that explains batches of `prepared` in this process.

        It returns, per price, what it is made of. A batch needs all features of the models.
        """
        explain = self.opened_encoded()

        def explained(batch: pa.RecordBatch) -> list[ExplainedRows]:
            return explain([encoded(f, batch.column(f.name), impute) for f, impute in self.inputs])

        return explained

    def opened_encoded(self) -> ExplainEncoded:
        """Return the function that explains encoded columns, one per entry of ``inputs``."""
        scorers = [model.scored.scorer() for model in self.models]
        explainers = [model.explainer() for model in self.models]

        def explained(columns: Sequence[np.ndarray]) -> list[ExplainedRows]:
            raws, responses, contributions = [], [], []
            for model, scorer, of_model in zip(self.models, scorers, explainers, strict=True):
                read = [columns[n] for n in model.scored.arguments]
                raw = scorer.raw(read)
                response = model.scored.parts[0].response.apply(raw)
                raws.append(raw.reshape(raw.shape[0], -1))
                responses.append(response.reshape(raw.shape[0], -1))
                contributions.append(of_model.contributions(read))
            return [explained_rows(price, raws, responses, contributions) for price in self.prices]

        return explained
