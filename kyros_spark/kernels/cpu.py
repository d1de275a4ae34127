"""Choose the kernel for this host's CPU, here and now: model files hold no machine code."""

import os
import platform
import socket
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import config

KERNELS = ("avx512vbmi", "portable")
NEEDED_FEATURES = {"avx512vbmi": ("avx512f", "avx512bw", "avx512vbmi"), "portable": ()}


def missing_features(kernel: str) -> list[str]:
    """Return the CPU features that a kernel needs and this host lacks, or pretends to lack."""
    found = cpu_features()
    return [feature for feature in NEEDED_FEATURES[kernel] if feature not in found]


def best_kernel() -> str:
    """Return the fastest kernel that this host runs."""
    return next(kernel for kernel in KERNELS if not missing_features(kernel))


@cache
def cpu_features() -> frozenset[str]:
    """Return the features of the host's CPU that Numba may use.

    NUMBA_CPU_FEATURES can take features away; what it adds to the CPU's own is not believed.
    """
    try:
        own = {name for name, present in llvm.get_host_cpu_features().items() if present}
    except RuntimeError:  # LLVM cannot tell on this platform
        own = set()
    if config.CPU_FEATURES is None:
        generic = config.CPU_NAME == "generic"
        return frozenset() if generic else frozenset(own)
    allowed = {part[1:] for part in config.CPU_FEATURES.split(",") if part.startswith("+")}
    return frozenset(own & allowed)


def describe_host() -> dict[str, Any]:
    """Return what decides about kernels here: host, CPU and the compilers' versions."""
    return {
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "cpu": config.CPU_NAME or llvm.get_host_cpu_name(),
        "llvm": ".".join(str(part) for part in llvm.llvm_version_info),
        "llvmlite": llvmlite.__version__,
        "numba": numba.__version__,
        "pid": os.getpid(),
    }
