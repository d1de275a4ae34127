"""Compare an exported ONNX file with its model: in ONNX Runtime, and imported again.

The rows are chosen to expose a wrong comparison: the model's own thresholds, the neighbouring
numbers on either side, missing values, and random numbers in between.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kyros_spark.errors import GateError, PlatformError
from kyros_spark.model.artefact import Model
from kyros_spark.model.exporters.onnx import INPUT
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer

ROWS = 10_000
# ONNX Runtime adds float32 trees in an order of its own, which costs about 1e-6 for 1000 trees.
MAX_RELATIVE_DIFFERENCE = 1e-4
_MISSING_SHARE = 0.05


def parity(model: Model, data: bytes) -> dict[str, float | str]:
    """Return how far the file's predictions are from the model's, in ONNX Runtime and imported.

    data: the bytes of the ONNX file.

    Raises:
        PlatformError: onnxruntime is not installed.
        GateError: predictions differ by more than MAX_RELATIVE_DIFFERENCE.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise PlatformError(
            f"export needs onnx and onnxruntime ({error}); pip install 'kyros-spark[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    dtype = np.float32 if "float" in session.get_inputs()[0].type else np.float64
    rows = rows_to_compare(model).astype(dtype)
    columns = [np.ascontiguousarray(column) for column in rows.T]
    expected = Scorer(model).response(columns)
    predicted = session.run(None, {INPUT: rows})[0][:, 0]
    manifest = model.manifest
    imported = import_model(data, manifest.name, manifest.target, manifest.per, format="onnx")
    differences = {
        **_differences("runtime", expected, predicted),
        **_differences("imported", expected, Scorer(imported).response(columns)),
    }
    for name in ("runtime_relative", "imported_relative"):
        if not differences[name] <= MAX_RELATIVE_DIFFERENCE:
            raise GateError(
                f"export: expected {manifest.name}'s predictions in the file to equal the model's "
                f"within {MAX_RELATIVE_DIFFERENCE:g}, found {name} {differences[name]:g}; no file "
                "was written"
            )
    return {"rows": float(ROWS), **differences, "onnxruntime": onnxruntime.__version__}


def _differences(name: str, expected: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the largest absolute and relative difference, and the share of identical predictions.

    expected, predicted: float64[rows], per unit. A difference is infinite if only one of the two
    is missing.
    """
    both_missing = np.isnan(expected) & np.isnan(predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = both_missing | (expected == predicted)
        absolute = np.where(equal, 0.0, np.abs(expected - predicted))
        absolute = np.where(np.isnan(absolute), np.inf, absolute)
        relative = np.where(absolute == 0, 0.0, absolute / np.abs(expected))
    return {
        f"{name}_absolute": float(absolute.max(initial=0.0)),
        f"{name}_relative": float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0)),
        f"{name}_identical": float((absolute == 0).mean()),
    }


def rows_to_compare(model: Model) -> np.ndarray:
    """Return float64[ROWS, features], all values representable in the model's own precision.

    A levels feature of a GLM holds level codes; every other feature holds numbers.
    """
    rng = np.random.default_rng(0)
    columns_of = _glm_columns if model.manifest.kind == "glm" else _tree_columns
    columns = columns_of(model, rng)
    return np.stack(columns, axis=1) if columns else np.zeros((ROWS, 0))


def _glm_columns(model: Model, rng: np.random.Generator) -> list[np.ndarray]:
    """Return float64[ROWS] per feature: level codes, or numbers around the imputed value."""
    columns = []
    for feature in model.manifest.features:
        if feature.levels:
            column = rng.integers(0, len(feature.levels), ROWS).astype(np.float64)
        else:
            centre = feature.impute or 0.0
            column = centre + rng.normal(size=ROWS) * (abs(centre) or 1.0)
        columns.append(column)
    return columns


def _tree_columns(model: Model, rng: np.random.Generator) -> list[np.ndarray]:
    """Return float64[ROWS] per feature: thresholds, their neighbours, random numbers and NaN."""
    columns = []
    for begin, end in pairwise(model.arrays["cut_start"]):
        cuts = model.arrays["cut_value"][begin:end]
        cuts = cuts[np.isfinite(cuts)]
        up, down = cuts.dtype.type(np.inf), cuts.dtype.type(-np.inf)
        spread = float(np.ptp(cuts)) if cuts.size else 1.0
        between = (cuts.mean() if cuts.size else 0.0) + rng.normal(size=200) * (spread or 1.0)
        near = [cuts, np.nextafter(cuts, up), np.nextafter(cuts, down)]
        pool = np.concatenate([*near, between.astype(cuts.dtype)])
        column = pool[rng.integers(0, pool.size, ROWS)].astype(np.float64)
        column[rng.random(ROWS) < _MISSING_SHARE] = np.nan
        columns.append(column)
    return columns
