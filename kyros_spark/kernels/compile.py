"""Compile kernels: the one place for options, and for where compiled code may be kept.

A kernel is compiled once a host, for exactly one list of argument types, at its first call and
never at import. Compiled code goes to a cache folder when there is a safe one (see `cache_folder`)
and is otherwise kept in this process only: a package inside a zip, a read-only HOME or a full disk
cost a second, never an error. Numba keys the cache by CPU name and features, so hosts with
different CPUs may share the folder. A compiler that fails, or takes longer than
KYROS_COMPILE_SECONDS (60), raises CompileError: the caller then scores without it.
"""

import hashlib
import logging
import os
import stat
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

LOG = logging.getLogger(__name__)

OPTIONS: dict[str, Any] = {
    # Scores must not depend on the CPU: no reassociation, no fused multiply-add.
    "fastmath": False,
    # Every index is checked when a model is read and when a batch comes in; a check a load would
    # cost half the speed.
    "boundscheck": False,
    # Division and overflow follow C, as the libraries we must agree with do.
    "error_model": "numpy",
    # Spark owns the cores.
    "parallel": False,
    # A Python worker has one thread that matters, but a notebook's other threads go on.
    "nogil": True,
    # Kernels are called from Python only; the wrapper for C callers costs compile time.
    "no_cfunc_wrapper": True,
}


def read_only(dtype: Any, ndim: int = 1) -> types.Array:
    """Type of a C-contiguous input array; a memory-mapped model is read-only, so all inputs are."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C", readonly=True)


def writable(dtype: Any, ndim: int = 1) -> types.Array:
    """Type of a C-contiguous output array."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


class CompileError(Exception):
    """A kernel could not be compiled here, or not in time."""


_STUCK = threading.Event()  # a compiler is past its limit, and still holds Numba's lock


@cache
def compiled(function: Callable[..., Any], *arguments: types.Type) -> Callable[..., Any]:
    """Compile `function` for these argument types; the same call later returns the same code.

    Raises CompileError when the compiler fails or is past its time limit.
    """
    dispatcher = numba.njit(**OPTIONS)(function)
    if cache_folder() is not None:
        try:
            dispatcher._cache = _KernelCache(function)
        except Exception as error:  # a later numba may have moved its cache: go without
            LOG.warning("kernels are compiled in every process: %s", error)
    _in_time(function.__name__, lambda: dispatcher.compile(tuple(arguments)))
    dispatcher.disable_compile()
    return dispatcher


def _in_time(name: str, work: Callable[[], Any]) -> None:
    """Do the work in a thread of its own: a compiler cannot be interrupted, but can be left."""
    limit = compile_seconds()
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:  # told to the caller, in its own thread
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
        found = f"{type(failure[0]).__name__}: {failure[0]}"
        raise CompileError(f"kernel {name}: {found[:300]}") from failure[0]


def compile_seconds() -> float:
    """Return how long one kernel may take to compile: KYROS_COMPILE_SECONDS, or 60."""
    text = os.environ.get("KYROS_COMPILE_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        LOG.warning("KYROS_COMPILE_SECONDS: expected seconds above 0, found %r; taking 60", text)
        return 60.0
    return seconds


@cache
def cache_folder() -> Path | None:
    """Return a folder for compiled code that only this user can write, or None.

    Numba's cache files are unpickled when read, so a folder that others can write would let them
    run code here: the owner and the permissions are checked, and 1 MB is written as a trial.
    """
    for folder in _candidates():
        if _is_usable(folder):
            return folder
    LOG.warning("no safe writable folder for compiled kernels: each process compiles its own")
    return None


def _candidates() -> list[Path]:
    chosen = os.environ.get("KYROS_KERNEL_CACHE")
    if chosen is not None:  # an empty value switches the cache off
        return [Path(chosen)] if chosen else []
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
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(1 << 20))
        return True
    except OSError:
        return False


@cache
def _source_stamp() -> str:
    """Hash the sources of all kernels: one may be inlined into another."""
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
    """Numba's cache in our folder; what cannot be read is compiled, what cannot be written lost."""

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # a damaged file raises whatever unpickling raises
            LOG.warning("compiled kernel not readable, compiling again: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            LOG.warning("compiled kernel not kept on disk: %s", error)
