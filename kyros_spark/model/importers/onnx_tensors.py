"""Read the arrays of an ONNX file, which lie in one of several lists, or as raw bytes."""

import math
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError

# Element type -> how raw_data holds it, and the list that holds it otherwise
TENSOR_TYPES = {
    1: ("<f4", "float_data"), 2: ("u1", "int32_data"), 3: ("i1", "int32_data"),
    6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 11: ("<f8", "double_data"),
}  # fmt: skip
TENSOR_DATA = ("raw_data", "float_data", "int32_data", "int64_data", "double_data")


def tensor_array(tensor: dict[str, Any]) -> np.ndarray:
    """Return a tensor's content as an array.

    Raises ModelFormatError for numbers that do not fill its shape, or that lie in another type's
    list, ModelNotSupportedError for other element types, and for tensors stored in other files.
    """
    kind = tensor.get("data_type", 0)
    if kind not in TENSOR_TYPES:
        raise ModelNotSupportedError(f"ONNX model: tensors of type {kind} are not supported")
    if tensor.get("data_location", 0):
        raise ModelNotSupportedError("ONNX model: tensors in other files are not supported")
    dtype, own = np.dtype(TENSOR_TYPES[kind][0]), TENSOR_TYPES[kind][1]
    filled = [name for name in TENSOR_DATA if name in tensor]
    if len(filled) > 1 or not {*filled} <= {"raw_data", own}:
        raise ModelFormatError(f"ONNX model: a tensor of type {kind} in {' and '.join(filled)}")
    if "raw_data" in tensor:
        array = np.frombuffer(tensor["raw_data"], dtype)
    else:
        values = tensor.get(own, np.zeros(0, dtype))
        array = values.astype(dtype)
        if dtype.kind != "f" and (array != values).any():
            raise ModelFormatError(f"ONNX model: a tensor of type {kind} with a number beyond it")
    shape = [int(size) for size in tensor.get("dims", ())]
    if min(shape, default=0) < 0 or math.prod(shape) != array.size:
        raise ModelFormatError(
            f"ONNX model: a tensor of shape {shape[:8]} with {array.size} numbers"
        )
    return array.reshape(shape)
