"""Explain a generalised linear model: each feature's term, less the term it is compared with."""

from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import DataContractError
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.glm_scorer import GlmScorer
from kyros_spark.scoring.input_columns import input_columns


class GlmTerms:
    """Terms of the linear predictor, float64, as the scorer adds them.

    base  float64[1]: the intercept plus the terms that the features' are compared with
    """

    def __init__(
        self,
        model: Model,
        kernel: str,
        reference_terms: np.ndarray | None,
        background: Sequence[np.ndarray] | None,
    ) -> None:
        self._scorer = GlmScorer(model, "numpy" if kernel == "numpy" else "portable")
        self.kernel = self._scorer.kernel
        name, features = model.manifest.name, len(model.manifest.features)
        if reference_terms is not None and background is not None:
            raise DataContractError(
                f"{name}: expected reference terms or a background, found both; leave one out"
            )
        reference = np.zeros(features)
        if background is not None:
            columns, _, size = input_columns(model.manifest, background)
            if not size:
                raise DataContractError(f"{name}: expected rows in the background, found none")
            reference = self._scorer.terms(columns, size).mean(axis=0)
        elif reference_terms is not None:
            reference = np.asarray(reference_terms, np.float64)
        if reference.shape != (features,) or not np.isfinite(reference).all():
            raise DataContractError(
                f"{name}: expected {features} finite reference terms, one per feature, found "
                f"{reference.tolist()}"
            )
        self._reference = reference
        self.base = np.array([model.manifest.intercept + reference.sum()])

    def add(self, columns: Sequence[np.ndarray], values: np.ndarray) -> None:
        """Add the contributions to `values`, float64[n, 1, features]."""
        values[:, 0] += self._scorer.terms(columns, values.shape[0]) - self._reference
