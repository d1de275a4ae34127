"""Hold an exported ONNX file against the model: in ONNX Runtime, and imported again.

The rows are those that would betray a wrong comparison: the model's own thresholds, the numbers
next to them on either side, missing values, and random ones between.
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
# ONNX Runtime adds float32 trees in an order of its own: some 1e-6 for a thousand of them.
MOST = 1e-4


def parity(model: Model, data: bytes) -> dict[str, float | str]:
    """Return how far the file's predictions lie from the model's, in ONNX Runtime and imported.

    Raises PlatformError without onnxruntime, GateError where they differ by more than MOST.
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
    kind = np.float32 if "float" in session.get_inputs()[0].type else np.float64
    rows = rows_to_compare(model).astype(kind)
    columns = [np.ascontiguousarray(column) for column in rows.T]
    expected = Scorer(model).response(columns)
    there = session.run(None, {INPUT: rows})[0][:, 0]
    manifest = model.manifest
    again = import_model(data, manifest.name, manifest.target, manifest.per, format="onnx")
    told = {
        **_apart("runtime", expected, there),
        **_apart("imported", expected, Scorer(again).response(columns)),
    }
    for name in ("runtime_relative", "imported_relative"):
        if not told[name] <= MOST:
            raise GateError(
                f"export: expected {manifest.name}'s predictions in the file to be the model's to "
                f"{MOST:g}, found {name} {told[name]:g}; no file was written"
            )
    return {"rows": float(ROWS), **told, "onnxruntime": onnxruntime.__version__}


def _apart(name: str, expected: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return the largest differences, infinite where one is missing and the other is not."""
    both = np.isnan(expected) & np.isnan(found)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(both | (expected == found), 0.0, np.abs(expected - found))
        apart = np.where(np.isnan(apart), np.inf, apart)
        relative = np.where(apart == 0, 0.0, apart / np.abs(expected))
    return {
        f"{name}_absolute": float(apart.max(initial=0.0)),
        f"{name}_relative": float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0)),
        f"{name}_identical": float((apart == 0).mean()),
    }


def rows_to_compare(model: Model) -> np.ndarray:
    """Return float64[ROWS, features] in the precision that the model compares in."""
    rng = np.random.default_rng(0)
    features = model.manifest.features
    if model.manifest.kind == "glm":
        return np.stack(
            [
                rng.integers(0, len(one.levels), ROWS).astype(np.float64)
                if one.levels
                else (one.impute or 0.0) + rng.normal(size=ROWS) * (abs(one.impute or 0.0) or 1.0)
                for one in features
            ],
            axis=1,
        )
    found = []
    for begin, end in pairwise(model.arrays["cut_start"]):
        cuts = model.arrays["cut_value"][begin:end]
        cuts = cuts[np.isfinite(cuts)]
        up, down = cuts.dtype.type(np.inf), cuts.dtype.type(-np.inf)
        spread = float(np.ptp(cuts)) if cuts.size else 1.0
        between = (cuts.mean() if cuts.size else 0.0) + rng.normal(size=200) * (spread or 1.0)
        near = [cuts, np.nextafter(cuts, up), np.nextafter(cuts, down)]
        pool = np.concatenate([*near, between.astype(cuts.dtype)])
        column = pool[rng.integers(0, pool.size, ROWS)].astype(np.float64)
        column[rng.random(ROWS) < 0.05] = np.nan
        found.append(column)
    return np.stack(found, axis=1) if found else np.zeros((ROWS, 0))
