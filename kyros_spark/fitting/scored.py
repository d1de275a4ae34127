"""Score rows with fitted models where the rows are, by the engine that predict uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.scoring.arrow_features import encoded
from kyros_spark.scoring.scorer import Scorer


class Responses:
    """The product of models' responses per unit, float64[n], for the rows of a batch.

    It travels to the executors as the models' bytes; each process makes its scorers once.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        """Take the models, whose features are columns of the batches."""
        self._data = [model_to_bytes(model) for model in models]
        self._scorers: list[Scorer] = []

    def __call__(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return the product for each row."""
        if not self._scorers:
            self._scorers = [Scorer(read_model(data)) for data in self._data]
        product = np.ones(batch.num_rows)
        for scorer in self._scorers:
            impute = scorer.manifest.kind == "glm"
            features = scorer.manifest.features
            columns = [encoded(feature, batch.column(feature.name), impute) for feature in features]
            product = product * scorer.response(columns)
        return product

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels: the models, without what this process made of them."""
        return {"_data": self._data, "_scorers": []}


def feature_names(models: Sequence[Model]) -> list[str]:
    """Return the columns that the models read, each once."""
    names = (feature.name for model in models for feature in model.manifest.features)
    return list(dict.fromkeys(names))
