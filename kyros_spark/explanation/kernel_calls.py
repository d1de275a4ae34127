"""Call the explanation kernels, each compiled for the types of the arrays that it is given."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types

from kyros_spark.kernels.compile import compiled, read_only, writable


def run(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Run a kernel on arrays and numbers: whole ones are int64, all others float64.

    An array is an output, or scratch, unless it is read-only; `frozen` makes it so.
    """
    kinds = tuple(
        (argument.dtype, argument.ndim, argument.flags.writeable)
        if isinstance(argument, np.ndarray)
        else isinstance(argument, int | np.integer)
        for argument in arguments
    )
    return _compiled(kernel, kinds)(*arguments)


@cache
def _compiled(kernel: Callable[..., Any], kinds: tuple[Any, ...]) -> Callable[..., Any]:
    return compiled(kernel, *map(_type, kinds))


def _type(kind: Any) -> types.Type:
    if isinstance(kind, bool):
        return types.int64 if kind else types.float64
    dtype, ndim, is_output = kind
    return writable(dtype, ndim) if is_output else read_only(dtype, ndim)
