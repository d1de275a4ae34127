"""Take numbers from a document strictly: no text, fraction or flag is read as a whole number.

XGBoost refuses such values itself. NumPy would convert them, and the model would be scored on
numbers that its library never saw.
"""

import re
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError

_WHOLE = re.compile(r"-?[0-9]{1,18}")


def whole_numbers(values: Any, name: str, limits: tuple[int, int] | None = None) -> np.ndarray:
    """Return whole numbers as int64, from a list of integers or an array of them.

    limits  the least and the largest number that may occur; None for any of 64 bits

    Raises ModelFormatError, which names the list.
    """
    if isinstance(values, np.ndarray):
        is_whole = values.dtype.kind in "iu" and values.ndim == 1
    else:
        is_whole = isinstance(values, list | tuple) and {*map(type, values)} <= {int}
    if not is_whole:
        raise ModelFormatError(f"{name}: expected a list of whole numbers")
    try:
        numbers = np.asarray(values, np.int64)
    except OverflowError:
        raise ModelFormatError(f"{name}: a number beyond 64 bits") from None
    if limits is not None and numbers.size:
        least, most = int(numbers.min()), int(numbers.max())
        if least < limits[0] or most > limits[1]:
            raise ModelFormatError(
                f"{name}: expected {limits[0]} to {limits[1]}, found {least} to {most}"
            )
    return numbers


def single_numbers(values: Any, name: str) -> np.ndarray:
    """Return numbers as float32, from a list of numbers or an array of them.

    Raises ModelFormatError, which names the list.
    """
    if isinstance(values, np.ndarray):
        is_numeric = values.dtype.kind in "iuf" and values.ndim == 1
    else:
        is_numeric = isinstance(values, list | tuple) and {*map(type, values)} <= {int, float}
    if not is_numeric:
        raise ModelFormatError(f"{name}: expected a list of numbers")
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def whole_number(value: Any, name: str) -> int:
    """Return a whole number, which XGBoost writes as text.

    Raises ModelFormatError, which names the number.
    """
    if type(value) is int:
        return value
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ModelFormatError(f"{name}: expected a whole number, found {str(value)[:50]!r}")
    return int(value)
