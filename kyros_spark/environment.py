"""Describe what a run ran on: code, commit, libraries, host, memory."""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

_LIBRARIES = ("pyspark", "delta-spark", "pyarrow", "pandas", "numpy", "numba", "llvmlite")


def package_version() -> str:
    """Return the package's version, or 'checkout' where it is not installed."""
    try:
        return metadata.version("kyros-spark")
    except metadata.PackageNotFoundError:
        return "checkout"


@functools.cache
def code_hash() -> str:
    """Return the SHA-256 of the package's Python source, in a zip or on disk."""
    digest = hashlib.sha256()
    for name, content in sorted(_sources(resources.files("kyros_spark"), "")):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    """Return the path and content of each Python file below a folder."""
    sources = []
    for entry in folder.iterdir():
        if entry.is_dir():
            sources += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            sources.append((prefix + entry.name, entry.read_bytes()))
    return sources


@functools.cache
def git_commit() -> str:
    """Return the checkout's commit ('+' appended if files differ from it), or '' without one."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+" if commit and git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.TimeoutExpired):
        return ""


@functools.cache
def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries a run depends on."""
    versions = {"python": platform.python_version(), "kyros-spark": package_version()}
    for name in (*_LIBRARIES, "xgboost", "xgboost-cpu"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def user_and_host() -> tuple[str, str]:
    """Return the names of the user and the host that run this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no name
        user = str(os.getuid())
    return user, platform.node()


def peak_memory() -> tuple[float | None, float | None]:
    """Return the peak resident MiB of (driver and its JVM, largest Python worker) on this host.

    They come from /proc, so both are None without it. Workers on other hosts are not included.
    """
    # The ledger stores them as driver_peak_mb and worker_peak_mb: MiB, despite the names.
    if not sys.platform.startswith("linux"):
        return None, None
    driver, worker = _peak_mib(os.getpid()), 0.0
    for pid, command in _related_processes():
        if "java" in command:
            driver += _peak_mib(pid)
        elif "pyspark" in command or "python" in command:
            worker = max(worker, _peak_mib(pid))
    return driver, worker or None


def forget_peaks() -> None:
    """Let the peaks of this process and its JVM and workers start again at what they use now."""
    if sys.platform.startswith("linux"):
        for pid in (os.getpid(), *(pid for pid, _ in _related_processes())):
            with contextlib.suppress(OSError):  # a kernel without it, or a process that just ended
                Path(f"/proc/{pid}/clear_refs").write_text("5")


def machine_memory_mib() -> int | None:
    """Return this host's memory, or its control group's limit if lower; None if unknown."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    limits = [total]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no such file, or 'max'
            continue
    return min(limits) // (1 << 20)


def cpu_seconds() -> float:
    """Return the processor seconds so far of this process, its JVM and its workers on this host.

    They come from /proc, so the result is 0.0 without it. A worker that has ended counts with the
    process that waited for it.
    """
    if not sys.platform.startswith("linux"):
        return 0.0
    ticks = sum(_ticks(pid) for pid in (os.getpid(), *(pid for pid, _ in _related_processes())))
    return ticks / os.sysconf("SC_CLK_TCK")


def _related_processes() -> list[tuple[int, str]]:
    """Return the processes that work for this one, as pid and command."""
    children = _children()
    queue, seen = list(children.get(os.getpid(), ())), {os.getpid()}
    parent = os.getppid()
    if "java" in _command(parent):  # under spark-submit the JVM started this process
        queue.append(parent)
    processes = []
    while queue:
        pid = queue.pop()
        if pid in seen:
            continue
        seen.add(pid)
        processes.append((pid, _command(pid)))
        queue += children.get(pid, ())
    return processes


def _children() -> dict[int, list[int]]:
    """Return the pids of each process's children, by its own pid."""
    tree: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            tree.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    return tree


def _peak_mib(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _ticks(pid: int) -> int:
    """Return the clock ticks spent by a process and by its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(ticks) for ticks in fields[11:15])  # user and system time of both


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0:4].__str__()
    except OSError:
        return ""
