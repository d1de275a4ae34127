"""Temporary: explain GLMs only, until the engine's explainer takes this place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.artefact import Model

DEFAULT_TABLE_BYTES = 256 << 20


@dataclass(frozen=True)
class Contributions:
    """What a batch's features contribute."""

    base: np.ndarray
    values: np.ndarray


class Explainer:
    """A GLM's contributions."""

    def __init__(
        self,
        model: Model,
        kernel: str = "auto",
        max_table_bytes: int = DEFAULT_TABLE_BYTES,
        reference_terms: np.ndarray | None = None,
        background: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Take the model."""
        self.manifest, self.kernel = model.manifest, kernel
        self._model, self._reference = model, reference_terms
        self._trees = None
        if model.manifest.kind != "glm":
            raise ModelNotSupportedError("temporary: GLMs only")
        starts, values = model.arrays["table_start"], model.arrays["table_value"]
        self._tables = [values[a:b] for a, b in pairwise(starts)]

    def contributions(self, columns: Sequence[np.ndarray]) -> Contributions:
        """Return base and values."""
        terms = []
        for feature, table, column in zip(
            self.manifest.features, self._tables, columns, strict=True
        ):
            if feature.levels:
                terms.append(table[column.astype(np.int64)])
            else:
                terms.append(
                    table[0] * np.where(np.isnan(column), feature.impute or np.nan, column)
                )
        values = np.stack(terms, axis=1)
        base = np.array([self.manifest.intercept])
        if self._reference is not None:
            values, base = values - self._reference, base + self._reference.sum()
        return Contributions(base, values[:, None, :])
