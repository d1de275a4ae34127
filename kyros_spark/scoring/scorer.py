"""Score rows: the model's raw score and response for columns of values."""

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
from kyros_spark.scoring.numpy_scorer import NumpyTrees
from kyros_spark.scoring.tree_scorer import TreeScorer

LOG = logging.getLogger(__name__)

INVERSE_LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log": np.exp,
    "identity": lambda raw: raw,
    "logit": lambda raw: 1.0 / (1.0 + np.exp(-raw)),
    "softmax": lambda raw: _softmax(raw),
}


# The next best kernel where one does not compile; plain NumPy needs no compiler.
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

    kernel  auto, or the name of one: a forced kernel that this host's CPU cannot run, or that does
            not compile, raises KernelNotAvailableError; the attribute names the kernel in use
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
        """Return the seconds so far that went to turning values into codes."""
        return self._engine.quantise_seconds

    def raw(self, columns: Sequence[np.ndarray], offset: np.ndarray | None = None) -> np.ndarray:
        """Return float64[n]: intercept + offset + the model's sum; of several outputs [n, outputs].

        columns  one array a feature, in the manifest's order, all of one length: numbers with NaN
                 where missing, or level codes (float or integer, missing already given its code)
        offset   per row, for example log(exposure); for trees the sum starts from it in the
                 library's own precision, as from XGBoost's base margin
        Raises DataContractError for a wrong number, length or type of columns, or an unknown code.
        """
        name, expected = self.manifest.name, len(self.manifest.features)
        if len(columns) != expected:
            raise DataContractError(f"{name}: expected {expected} columns, found {len(columns)}")
        arrays = [
            _as_input(name, feature.name, column)
            for feature, column in zip(self.manifest.features, columns, strict=True)
        ]
        if offset is not None:
            offset = _as_input(name, "offset", offset)
        sizes = {array.size for array in [*arrays, *([] if offset is None else [offset])]}
        if len(sizes) > 1:
            raise DataContractError(f"{name}: columns of different lengths: {sorted(sizes)}")
        outputs = self.manifest.outputs
        if outputs and offset is not None:
            raise DataContractError(f"{name}: a model of several outputs takes no offset")
        intercepts = [output.intercept for output in outputs] or [self.manifest.intercept]
        start = np.repeat(np.array(intercepts)[:, None], max(sizes, default=0), axis=1)
        if offset is not None:
            start += offset
        found = self._sums(arrays, start)
        return np.ascontiguousarray(found.T) if outputs else found[0]

    def _sums(self, arrays: list[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Score with the kernel in use; where it does not compile, with the next one that does."""
        while True:
            try:
                return self._engine.raw(arrays, start)
            except CompileError as error:
                later = FALL_BACK[self.kernel]
                if self._forced:
                    raise KernelNotAvailableError(
                        f"kernel {self.kernel}, host {describe_host()['host']}: {error}. Set "
                        "predict.kernel to auto, or KYROS_COMPILE_SECONDS higher."
                    ) from error
                LOG.warning("kernel %s: %s; scoring with %s", self.kernel, error, later)
                self._engine = _engine(self._model, later)

    def describe(self) -> dict[str, object]:
        """Return the kernel in use and what decided about it, for the `runs` row."""
        return {"kernel": self.kernel, **describe_host()}

    def response(
        self, columns: Sequence[np.ndarray], offset: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the inverse link of the raw score, rebalanced and loaded, of its shape."""
        return Response.of(self.manifest).to(self.raw(columns, offset))


@dataclass(frozen=True)
class Response:
    """How raw scores become responses: the manifest's link, sigmoid, rebalance and load."""

    link: str
    sigmoid: float
    rebalance: float
    load: float

    @classmethod
    def of(cls, manifest: Manifest) -> "Response":
        """Return a model's."""
        return cls(manifest.link, manifest.sigmoid, manifest.rebalance, manifest.large_loss_load)

    def to(self, raw: np.ndarray) -> np.ndarray:
        """Return the responses, float64 of the raw scores' shape; a row's outputs lie in axis 1."""
        found = INVERSE_LINKS[self.link](raw if self.sigmoid == 1.0 else self.sigmoid * raw)
        if self.rebalance != 1.0:
            found = found * self.rebalance
        return found + self.load if self.load else found


def _softmax(raw: np.ndarray) -> np.ndarray:
    share = np.exp(raw - raw.max(axis=1, keepdims=True))
    whole: np.ndarray = share / share.sum(axis=1, keepdims=True)
    return whole


def _as_input(model: str, name: str, column: np.ndarray) -> np.ndarray:
    """Return the column as a contiguous, read-only float32 or float64 array."""
    array = np.asarray(column)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        found = f"{array.dtype} with {array.ndim} dimensions"
        raise DataContractError(f"{model}: column {name}: expected numbers in a row, found {found}")
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    array = np.ascontiguousarray(array, dtype).view()
    array.flags.writeable = False
    return array
