"""Check memory settings (heaps, Python workers) against a machine's or container's memory."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kyros_spark.doctor.verdict import Check, fail, ok, warn
from kyros_spark.spark.driver_heap import spark_bytes

# A scoring worker holds numpy, pandas, pyarrow, compiled kernels and one Arrow batch.
_WORKER_BYTES = 400 << 20
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> int | None:
    """Return this machine's memory, or its container's limit if lower; None if neither is known."""
    limits = []
    try:
        kibibytes = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
        limits += [int(kibibytes[1]) << 10] if kibibytes else []
    except OSError:
        pass
    for path in _LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        limits += [int(text)] if text.isdigit() else []
    return min(limits, default=None)


def local_memory(driver_memory: str, machine: int | None, cores: int | None = None) -> Check:
    """Check the one heap of a local session, and its Python workers, against the machine.

    machine: the machine's memory in bytes, or None if unknown. cores: default all.
    """
    heap = spark_bytes(driver_memory)
    workers = (cores or os.cpu_count() or 1) * _WORKER_BYTES
    finding = f"driver heap {driver_memory}"
    if not heap:
        return fail("memory", finding, "give spark.driver_memory as 3g or 3000m")
    if machine is None:
        return ok("memory", f"{finding}; this machine does not tell what it has")
    finding += f" of {_gib(machine)}"
    fits = max(int((machine - workers) / (1 << 30)), 1)
    if heap >= machine:
        return fail("memory", finding, f"--set spark.driver_memory={fits}g")
    if heap + workers > machine:
        return warn(
            "memory",
            f"{finding}, which leaves too little for {workers // _WORKER_BYTES} Python workers",
            f"--set spark.driver_memory={fits}g, or fewer cores",
        )
    return ok("memory", finding)


def executor_memory(conf: Mapping[str, str], hosts: Sequence[Mapping[str, Any]]) -> Check:
    """Check an executor's heap and overhead against the smallest host that answered."""
    name = "executors"
    heap = spark_bytes(conf.get("spark.executor.memory", "1g"))
    declared = conf.get("spark.executor.memoryOverhead")
    overhead = spark_bytes(declared) if declared else max(heap // 10, 384 << 20)
    cores = int(conf.get("spark.executor.cores", "1"))
    smallest = min((host["memory"] for host in hosts if host["memory"]), default=None)
    finding = f"heap {_gib(heap)} and overhead {_gib(overhead)}"
    if smallest is not None and heap + overhead > smallest:
        return fail(name, f"{finding} on a host of {_gib(smallest)}", "lower spark.executor.memory")
    if "spark.executor.pyspark.memory" in conf:
        return warn(
            name,
            "spark.executor.pyspark.memory limits address space, and mapped models count in full",
            "leave it unset; give spark.executor.memoryOverhead instead",
        )
    if overhead < cores * _WORKER_BYTES:
        return warn(
            name,
            f"{finding} for {cores} Python workers, which live in the overhead",
            f"spark.executor.memoryOverhead={cores * _WORKER_BYTES >> 20}m or more",
        )
    return ok(name, finding)


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
