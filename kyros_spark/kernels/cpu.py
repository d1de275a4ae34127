"""Choose the kernel for this host's CPU at run time: model files hold no machine code."""

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
    """Return the CPU features that a kernel needs and this host lacks or has switched off."""
    available = cpu_features()
    return [feature for feature in NEEDED_FEATURES[kernel] if feature not in available]


def best_kernel() -> str:
    """Return the fastest kernel that this host can run."""
    return next(kernel for kernel in KERNELS if not missing_features(kernel))


@cache
def cpu_features() -> frozenset[str]:
    """Return the features of the host's CPU that Numba may use.

    NUMBA_CPU_FEATURES can take features away. A feature it adds that the CPU lacks is ignored.
    """
    try:
        present = {name for name, is_present in llvm.get_host_cpu_features().items() if is_present}
    except RuntimeError:  # LLVM cannot tell on this platform
        present = set()
    if config.CPU_FEATURES is None:
        generic = config.CPU_NAME == "generic"
        return frozenset() if generic else frozenset(present)
    allowed = {flag[1:] for flag in config.CPU_FEATURES.split(",") if flag.startswith("+")}
    return frozenset(present & allowed)


def describe_host() -> dict[str, Any]:
    """Return the facts that decide the kernel: host, CPU and the compilers' versions."""
    return {
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "cpu": config.CPU_NAME or llvm.get_host_cpu_name(),
        "llvm": ".".join(str(part) for part in llvm.llvm_version_info),
        "llvmlite": llvmlite.__version__,
        "numba": numba.__version__,
        "pid": os.getpid(),
    }
