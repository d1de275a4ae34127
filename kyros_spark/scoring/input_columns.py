"""Check the columns that a model is given, and return them as the kernels read them."""

from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import DataContractError
from kyros_spark.model.manifest import Manifest


def input_columns(
    manifest: Manifest, columns: Sequence[np.ndarray], offset: np.ndarray | None = None
) -> tuple[list[np.ndarray], np.ndarray | None, int]:
    """Return contiguous, read-only float32 or float64 columns, the offset, and the number of rows.

    columns  one array[n] per feature, in the manifest's order
    offset   float64[n] or None

    Raises:
        DataContractError: a wrong number, length or type of columns.
    """
    name, expected = manifest.name, len(manifest.features)
    if len(columns) != expected:
        raise DataContractError(f"{name}: expected {expected} columns, found {len(columns)}")
    arrays = [
        _as_input(name, feature.name, column)
        for feature, column in zip(manifest.features, columns, strict=True)
    ]
    if offset is not None:
        offset = _as_input(name, "offset", offset)
    sizes = {array.size for array in [*arrays, *([] if offset is None else [offset])]}
    if len(sizes) > 1:
        raise DataContractError(f"{name}: columns of different lengths: {sorted(sizes)}")
    return arrays, offset, max(sizes, default=0)


def _as_input(model: str, name: str, column: np.ndarray) -> np.ndarray:
    """Return the column as a contiguous, read-only float32 or float64 array."""
    array = np.asarray(column)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        actual = f"{array.dtype} with {array.ndim} dimensions"
        raise DataContractError(
            f"{model}: column {name}: expected a one-dimensional array of numbers, found {actual}"
        )
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    array = np.ascontiguousarray(array, dtype).view()
    array.flags.writeable = False
    return array
