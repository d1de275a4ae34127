"""Compile kernels: the only place that sets compiler options and the cache of compiled code.

A kernel is compiled once per host, for exactly one list of argument types, at its first call and
never at import. Compiled code goes to a cache folder if there is a safe one (see `cache_folder`);
otherwise it stays in this process. So a package inside a zip, a read-only HOME or a full disk
costs a second, never an error. Numba keys the cache by CPU name and features, so hosts with
different CPUs may share the folder. If the compiler fails, or takes longer than
KYROS_COMPILE_SECONDS (60), `compiled` raises CompileError and the caller scores without the kernel.
"""

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.np.numpy_support import from_dtype

from kyros_spark.kernels.private_files import folder_fault

LOG = logging.getLogger(__name__)

OPTIONS: dict[str, Any] = {
    # Scores must not depend on the CPU, so no reassociation and no fused multiply-add.
    "fastmath": False,
    # Every index is checked when a model is read and when a batch arrives; checking each load would
    # halve the speed.
    "boundscheck": False,
    # Division and overflow follow C, as in the libraries whose scores we reproduce.
    "error_model": "numpy",
    # Spark owns the cores.
    "parallel": False,
    # A Python worker has a single busy thread, but a notebook's other threads must keep running.
    "nogil": True,
    # Kernels are called from Python only; the wrapper for C callers costs compile time.
    "no_cfunc_wrapper": True,
}


def read_only(dtype: Any, ndim: int = 1) -> types.Array:
    """Return the type of a C-contiguous input array.

    All inputs are read-only, because a memory-mapped model is.
    """
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C", readonly=True)


def writable(dtype: Any, ndim: int = 1) -> types.Array:
    """Return the type of a C-contiguous output array."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


class CompileError(Exception):
    """A kernel could not be compiled here, or not in time."""


_STUCK = threading.Event()  # set once a compiler exceeds its limit: it still holds Numba's lock


@cache
def compiled(
    function: Callable[..., Any], *arguments: types.Type, patience: float = 1.0
) -> Callable[..., Any]:
    """Compile `function` for these argument types; a repeated call returns the same code.

    patience: how many times the usual limit it may take, for a function that inlines many others.

    Raises:
        CompileError: the compiler failed or exceeded its time limit.
    """
    dispatcher = numba.njit(**OPTIONS)(function)
    if cache_folder() is not None:
        try:
            dispatcher._cache = _KernelCache(function)
        except Exception as error:  # a later numba may have moved its cache: do without it
            LOG.warning("kernels are compiled in every process: %s", error)
    limit = compile_seconds() * patience
    _run_with_limit(function.__name__, limit, lambda: dispatcher.compile(tuple(arguments)))
    dispatcher.disable_compile()
    return dispatcher


def _run_with_limit(name: str, limit: float, work: Callable[[], Any]) -> None:
    """Do the work in a separate thread: a compiler cannot be interrupted, but can be abandoned."""
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)

    if _STUCK.is_set():
        raise CompileError(f"kernel {name}: an earlier one is still being compiled")
    thread = threading.Thread(target=attempt, name=f"compile {name}", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        _STUCK.set()
        raise CompileError(f"kernel {name}: not compiled within {limit:g} s")
    if failure:
        message = f"{type(failure[0]).__name__}: {failure[0]}"
        raise CompileError(f"kernel {name}: {message[:300]}") from failure[0]


def compile_seconds() -> float:
    """Return the time limit for compiling one kernel, in s: KYROS_COMPILE_SECONDS or 60."""
    text = os.environ.get("KYROS_COMPILE_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        LOG.warning("KYROS_COMPILE_SECONDS: expected seconds above 0, found %r; using 60", text)
        return 60.0
    return seconds


@cache
def cache_folder() -> Path | None:
    """Return a folder for compiled code that only this user can write to, or None.

    Numba unpickles its cache files when it reads them, so anyone who can write to the folder could
    run code here. The owner and the permissions are therefore checked, and 1 MB is written as a
    trial.
    """
    for folder in _candidate_folders():
        if _is_usable(folder):
            return folder
    LOG.warning("no safe writable folder for compiled kernels: each process compiles its own")
    return None


def _candidate_folders() -> list[Path]:
    configured = os.environ.get("KYROS_KERNEL_CACHE")
    if configured is not None:  # an empty value switches the cache off
        return [Path(configured)] if configured else []
    folders = []
    if os.environ.get("NUMBA_CACHE_DIR"):
        folders.append(Path(os.environ["NUMBA_CACHE_DIR"]) / "kyros-kernels")
    home = os.path.expanduser("~")
    if os.path.isabs(home) and home != "/":
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
        folders.append(Path(base) / "kyros-kernels")
    folders.append(Path(tempfile.gettempdir()) / f"kyros-kernels-{os.getuid()}")
    return folders


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder_fault(folder):
            return False
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(1 << 20))
        return True
    except OSError:
        return False


@cache
def _source_stamp() -> str:
    """Return the hash of all kernels' sources, since one kernel may be inlined into another."""
    digest = hashlib.sha256()
    for source in sorted(resources.files(__package__).iterdir(), key=lambda item: item.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return digest.hexdigest()


class _Locator(_CacheLocator):
    def __init__(self, line: int) -> None:
        self._line = line

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return _source_stamp()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func.__code__.co_firstlineno)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # type: ignore[list-item]


class _KernelCache(FunctionCache):
    """Numba's cache in our folder.

    A file that cannot be read is compiled anew; one that cannot be written is not cached.
    """

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            if fault := folder_fault(Path(self.cache_path)):  # it was safe, and may be no more
                raise PermissionError(fault)
            return super().load_overload(sig, target_context)
        except Exception as error:  # a damaged file raises whatever unpickling raises
            LOG.warning("compiled kernel not readable, compiling again: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            LOG.warning("compiled kernel not kept on disk: %s", error)
