"""Explain rows: the base and the contribution of each feature, which add up to the raw score."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kyros_spark.errors import (
    CoversMissingError,
    DataContractError,
    KernelNotAvailableError,
    ModelNotSupportedError,
)
from kyros_spark.explanation.edges import (
    cover_shares,
    expected_sums,
    leaf_shares,
    tree_edges,
)
from kyros_spark.explanation.glm_terms import GlmTerms
from kyros_spark.explanation.numpy_trees import NumpyExplainer
from kyros_spark.explanation.tree_explainer import TreeExplainer
from kyros_spark.kernels.compile import CompileError
from kyros_spark.kernels.cpu import describe_host
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.input_columns import input_columns

LOG = logging.getLogger(__name__)

MAX_TABLE_BYTES = 256 << 20


@dataclass(frozen=True)
class Contributions:
    """What a batch's raw scores are made of, on the scale of the link: base + sum of values.

    base    float64[outputs]: the expected raw score of each output, intercept included
    values  float64[n, outputs, features], features in the manifest's order
    """

    base: np.ndarray
    values: np.ndarray


class _Contributor(Protocol):
    kernel: str

    def add(self, columns: Sequence[np.ndarray], values: np.ndarray) -> None: ...


class Explainer:
    """A model ready to explain on this host.

    Trees have Shapley values: of what the model expects of a row when it knows only some of its
    features. Without `background`, the unknown ones send the row down each branch in proportion to
    the training rows that went there, as in XGBoost's and LightGBM's own contributions. A feature
    that a model does not use has the contribution 0.

    kernel           auto or a kernel's name, as for Scorer
    max_table_bytes  the memory that look-up tables may take, in bytes
    reference_terms  of a linear model: float64[features], the term on the link's scale that each
                     feature's is compared with. None is 0: the base level, or the number 0
    background       one encoded column per feature: the rows of a named sample. The unknown
                     features are then those of the sample's rows, each in turn; a linear model's
                     terms are compared with the sample's mean terms

    Raises:
        CoversMissingError: a tree model without covers, and no background.
        ModelNotSupportedError: a composite, which has no raw score of its own.
        KernelNotAvailableError: the kernel is unknown, or this host's CPU cannot run it.
        DataContractError: reference terms or a background that do not fit the model.
    """

    def __init__(
        self,
        model: Model,
        kernel: str = "auto",
        max_table_bytes: int = MAX_TABLE_BYTES,
        reference_terms: np.ndarray | None = None,
        background: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.manifest = model.manifest
        self._engine: _Contributor
        self._outputs = max(len(model.manifest.outputs), 1)
        if model.manifest.kind == "composite":
            raise ModelNotSupportedError(
                f"model {model.manifest.name} is a composite, which is explained by its parts"
            )
        if model.manifest.kind == "glm":
            terms = GlmTerms(model, kernel, reference_terms, background)
            self._engine, self._base = terms, terms.base
            return
        if reference_terms is not None:
            raise ModelNotSupportedError(
                f"model {model.manifest.name}: reference terms are of linear models, this one is "
                "made of trees"
            )
        expected, self._engine = _tree_engine(model, kernel, max_table_bytes, background)
        outputs = model.manifest.outputs
        intercepts = [output.intercept for output in outputs] or [model.manifest.intercept]
        self._base = (np.array(intercepts) + expected) / model.manifest.divisor

    @property
    def kernel(self) -> str:
        """Name the kernel in use."""
        return self._engine.kernel

    def contributions(self, columns: Sequence[np.ndarray]) -> Contributions:
        """Return the contributions of all features to each row's raw score, offset left out.

        columns  as `Scorer.raw` takes them: one array[n] per feature, in the manifest's order

        Raises:
            DataContractError: a wrong number, length or type of columns, or an unknown code.
        """
        arrays, _, size = input_columns(self.manifest, columns)
        values = np.zeros((size, self._outputs, len(arrays)))
        self._engine.add(arrays, values)
        if self.manifest.kind == "trees" and self.manifest.divisor != 1.0:
            values /= self.manifest.divisor
        return Contributions(self._base.copy(), values)


def _tree_engine(
    model: Model, kernel: str, max_table_bytes: int, background: Sequence[np.ndarray] | None
) -> tuple[np.ndarray, _Contributor]:
    """Return the expected sum of each output, and the engine that takes it apart.

    It is the one without a compiler where the kernels do not compile.
    """
    if background is not None:
        return _sample_engine(model, kernel, max_table_bytes, background)
    check_covers(model)
    edges = tree_edges(model.arrays, cover_shares(model.arrays))
    expected = expected_sums(model.arrays, leaf_shares(edges))
    if kernel == "numpy":
        return expected, NumpyExplainer(model, edges)
    try:
        return expected, TreeExplainer(model, edges, kernel, max_table_bytes)
    except CompileError as error:
        if kernel != "auto":
            raise _not_available(kernel, error) from error
        LOG.warning("explaining without a compiler, much slower: %s", error)
        return expected, NumpyExplainer(model, edges)


def _sample_engine(
    model: Model, kernel: str, max_table_bytes: int, background: Sequence[np.ndarray]
) -> tuple[np.ndarray, _Contributor]:
    columns, _, size = input_columns(model.manifest, background)
    if not size:
        raise DataContractError(
            f"{model.manifest.name}: expected rows in the background, found none"
        )
    edges = tree_edges(model.arrays, np.full(2 * model.arrays["split_left"].size, 0.5))
    if kernel == "numpy":
        raise ModelNotSupportedError("kernel numpy: expected no background; take another kernel")
    try:
        engine = TreeExplainer(model, edges, kernel, max_table_bytes, columns)
    except CompileError as error:
        raise _not_available(kernel, error) from error
    return expected_sums(model.arrays, engine.reached), engine


def _not_available(kernel: str, error: CompileError) -> KernelNotAvailableError:
    return KernelNotAvailableError(
        f"kernel {kernel}, host {describe_host()['host']}: {error}. Set it to auto, or "
        "KYROS_COMPILE_SECONDS higher."
    )


def check_covers(model: Model) -> None:
    """Raise CoversMissingError for a tree model without covers."""
    if "leaf_cover" not in model.arrays:
        source = model.manifest.source.library
        raise CoversMissingError(
            f"model {model.manifest.name}: its {source} file does not say how many training rows "
            "passed each node. Measure the covers on a batch (measured_covers), explain against a "
            "background sample, or import the model again if this file is older than covers are"
        )
