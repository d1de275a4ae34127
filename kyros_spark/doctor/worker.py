"""Describe a worker from within: the host, Python and kernels a stage will run on."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from typing import Any

import numpy as np


def facts_as_json(batches: Iterable[Any]) -> Iterable[Any]:
    """Yield one row with one column, `facts`, as JSON text; for mapInArrow."""
    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"facts": pa.array([json.dumps(facts())])})


def facts() -> dict[str, Any]:
    """Return the host's name, CPU, memory, Python, package, kernel, cache and compiler fault."""
    from kyros_spark.doctor.memory import machine_bytes
    from kyros_spark.environment import code_hash, package_version
    from kyros_spark.kernels.compile import cache_folder
    from kyros_spark.kernels.cpu import best_kernel, describe_host

    folder = cache_folder()
    return {
        **describe_host(),
        "python": platform.python_version(),
        "version": package_version(),
        "code": code_hash(),
        "memory": machine_bytes(),
        "kernel": best_kernel(),
        "cache": None if folder is None else str(folder),
        "compiler": _compiler(),
    }


def _compiler() -> str:
    """Return why a kernel cannot be compiled and called here, or '' if it can."""
    from kyros_spark.kernels.compile import CompileError, compiled, read_only, writable
    from kyros_spark.kernels.table_sum import add_table

    try:
        add = compiled(add_table, read_only("int32"), read_only("float64"), writable("float64"))
    except CompileError as error:
        return str(error)
    sums = np.zeros(2)
    codes, table = np.array([1, 0], dtype="int32"), np.array([0.5, 2.0])
    codes.flags.writeable = table.flags.writeable = False
    add(codes, table, sums)
    return "" if sums.tolist() == [2.0, 0.5] else f"wrong sums {sums.tolist()}"
