"""Tell, on a worker, what the worker is: what a stage will meet there."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from typing import Any

import numpy as np


def tell(batches: Iterable[Any]) -> Iterable[Any]:
    """Return one row, `facts`, as JSON; for mapInArrow."""
    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"facts": pa.array([json.dumps(facts())])})


def facts() -> dict[str, Any]:
    """Return the host, its Python, CPU, memory and kernels, and whether one compiles here."""
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
    """Return why a kernel cannot be compiled and called here, or ''."""
    from kyros_spark.kernels.compile import CompileError, compiled, read_only, writable
    from kyros_spark.kernels.table_sum import add_table

    try:
        work = compiled(add_table, read_only("int32"), read_only("float64"), writable("float64"))
    except CompileError as error:
        return str(error)
    sums = np.zeros(2)
    codes, table = np.array([1, 0], dtype="int32"), np.array([0.5, 2.0])
    codes.flags.writeable = table.flags.writeable = False
    work(codes, table, sums)
    return "" if sums.tolist() == [2.0, 0.5] else f"wrong sums {sums.tolist()}"
