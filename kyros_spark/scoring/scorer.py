"""Score rows: compute the model's raw scores and responses for columns of values."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kyros_spark.errors import DataContractError, KernelNotAvailableError, ModelNotSupportedError
from kyros_spark.kernels.compile import CompileError
from kyros_spark.kernels.cpu import describe_host
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Manifest
from kyros_spark.scoring.glm_scorer import GlmScorer
from kyros_spark.scoring.input_columns import input_columns
from kyros_spark.scoring.numpy_scorer import NumpyTrees
from kyros_spark.scoring.tree_scorer import TreeScorer

LOG = logging.getLogger(__name__)

INVERSE_LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log": np.exp,
    "identity": lambda raw: raw,
    "logit": lambda raw: 1.0 / (1.0 + np.exp(-raw)),
    "softmax": lambda raw: _softmax(raw),
}

# The kernel to use if one does not compile; plain NumPy needs no compiler.
FALL_BACK = {"avx512vbmi": "portable", "portable": "numpy"}


class _Engine(Protocol):
    kernel: str
    quantise_seconds: float

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray: ...


def _engine(model: Model, kernel: str) -> _Engine:
    if model.manifest.kind == "composite":
        raise ModelNotSupportedError(
            f"model {model.manifest.name} is a composite, which predict scores by its parts"
        )
    if model.manifest.kind == "trees":
        return NumpyTrees(model) if kernel == "numpy" else TreeScorer(model, kernel)
    return GlmScorer(model, "numpy" if kernel == "numpy" else "portable")


class Scorer:
    """A model ready to score on this host.

    kernel  auto or a kernel's name. A forced kernel that does not compile, or that this host's CPU
            cannot run, raises KernelNotAvailableError. The attribute names the kernel in use
    """

    def __init__(self, model: Model, kernel: str = "auto") -> None:
        self.manifest = model.manifest
        self._model = model
        self._forced = kernel != "auto"
        self._engine = _engine(model, kernel)

    @property
    def kernel(self) -> str:
        """Name the kernel in use."""
        return self._engine.kernel

    @property
    def quantise_seconds(self) -> float:
        """Return the seconds spent so far on turning values into codes."""
        return self._engine.quantise_seconds

    def raw(self, columns: Sequence[np.ndarray], offset: np.ndarray | None = None) -> np.ndarray:
        """Return intercept + offset + the model's sum: float64[n], or [n, outputs] if several.

        columns  one array[n] per feature, in the manifest's order: numbers with NaN where missing,
                 or level codes (float or integer, missing values already coded)
        offset   float64[n] on the link's scale, such as log(exposure). A tree model's sum starts
                 at it in the library's own precision, as at XGBoost's base margin

        Raises:
            DataContractError: a wrong number, length or type of columns, or an unknown code.
        """
        arrays, offset, size = input_columns(self.manifest, columns, offset)
        outputs = self.manifest.outputs
        if outputs and offset is not None:
            raise DataContractError(
                f"{self.manifest.name}: a model of several outputs takes no offset"
            )
        intercepts = [output.intercept for output in outputs] or [self.manifest.intercept]
        start = np.repeat(np.array(intercepts)[:, None], size, axis=1)
        if offset is not None:
            start += offset
        sums = self._sums(arrays, start)
        return np.ascontiguousarray(sums.T) if outputs else sums[0]

    def _sums(self, arrays: list[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Score with the kernel in use or, if it does not compile, with the next one that does."""
        while True:
            try:
                return self._engine.raw(arrays, start)
            except CompileError as error:
                fallback = FALL_BACK[self.kernel]
                if self._forced:
                    raise KernelNotAvailableError(
                        f"kernel {self.kernel}, host {describe_host()['host']}: {error}. Set "
                        "predict.kernel to auto, or KYROS_COMPILE_SECONDS higher."
                    ) from error
                LOG.warning("kernel %s: %s; scoring with %s", self.kernel, error, fallback)
                self._engine = _engine(self._model, fallback)

    def describe(self) -> dict[str, object]:
        """Return the kernel in use and the facts that decided it, for the `runs` row."""
        return {"kernel": self.kernel, **describe_host()}

    def response(
        self, columns: Sequence[np.ndarray], offset: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the inverse link of `raw`, rebalanced and loaded, per unit and in its shape."""
        return Response.from_manifest(self.manifest).apply(self.raw(columns, offset))


@dataclass(frozen=True)
class Response:
    """How raw scores become responses: link, sigmoid, rebalance and load of the manifest."""

    link: str
    sigmoid: float
    rebalance: float
    load: float

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> "Response":
        """Return the response that a model's manifest describes."""
        return cls(manifest.link, manifest.sigmoid, manifest.rebalance, manifest.large_loss_load)

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Return the responses, float64 in the raw scores' shape; outputs lie along axis 1."""
        response = INVERSE_LINKS[self.link](raw if self.sigmoid == 1.0 else self.sigmoid * raw)
        if self.rebalance != 1.0:
            response = response * self.rebalance
        return response + self.load if self.load else response


def _softmax(raw: np.ndarray) -> np.ndarray:
    exponential = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: np.ndarray = exponential / exponential.sum(axis=1, keepdims=True)
    return shares
