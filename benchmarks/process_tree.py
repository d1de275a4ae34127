"""Run a command and count what all that it started took: seconds, processor seconds, memory.

Spark's driver does not wait for its JVM, nor the JVM for every worker, so the system would count
them for nobody. This process asks Linux to be handed all orphans below it, and waits for them: then
its own record of ended children is whole. A resident process that lives on is read where it is.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host_memory import proportional

_SET_CHILD_SUBREAPER = 36
_EVERY = 0.25  # s between two looks at the memory
_AT_MOST = 60.0  # s that what a command leaves behind may take to end
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """What a command took. mib: its peak, with residents; lines: what it printed, stdout alone."""

    seconds: float
    processor: float
    mib: float
    code: int
    lines: tuple[str, ...]
    errors: str

    @property
    def last(self):
        """Return the last line of stdout, which is JSON; {} where there is none."""
        try:
            return json.loads(self.lines[-1])
        except (IndexError, ValueError):
            return {}


def adopt_orphans():
    """Let this process be the parent of whatever below it loses its own."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: no orphans are handed to this process")


def run(words, log, resident=None, **given):
    """Run a command to its end, and to that of all it started.

    resident: "start" for a command that leaves processes behind, "stop" for one that ends them.
    """
    before, kept = processor(), set() if resident == "stop" else set(descendants())
    start, peak = time.perf_counter(), 0.0
    with Path(f"{log}.out").open("w") as out, Path(f"{log}.err").open("w") as errors:
        process = subprocess.Popen(
            list(map(str, words)), stdout=out, stderr=errors, stdin=subprocess.DEVNULL, **given
        )
        ended = select.poll()
        ended.register(os.pidfd_open(process.pid), select.POLLIN)
        while not ended.poll(_EVERY * 1000):
            peak = max(peak, mib())
            _reap(process.pid)
        seconds = time.perf_counter() - start
        process.wait()
    latest = time.perf_counter() + _AT_MOST
    while resident != "start" and set(descendants()) - kept and time.perf_counter() < latest:
        _reap(None)
        time.sleep(_EVERY / 5)
    lines = tuple(Path(f"{log}.out").read_text().splitlines())
    errors = Path(f"{log}.err").read_text()
    return Taken(seconds, processor() - before, peak, process.returncode, lines, errors)


def descendants():
    """Return the processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(_stat(entry)[1])
    below, latest = [], {os.getpid()}
    while latest:
        latest = {pid for pid, parent in parents.items() if parent in latest}
        below += latest
    return below


def processor():
    """Return the processor seconds of all that ran or runs below this process."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for pid in descendants():
        with contextlib.suppress(OSError):
            ticks += sum(
                map(int, _stat(Path(f"/proc/{pid}"))[11:15])
            )  # its own, and its children's
    return ended.ru_utime + ended.ru_stime + ticks / _TICK


def mib():
    """Return the memory of all processes below this one; what they share counts once."""
    return sum(proportional(Path(f"/proc/{pid}"))[0] for pid in descendants()) / 1024


def _reap(but):
    """Wait for children that have ended, so that they are counted and gone from the list."""
    for pid in descendants():
        if pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _stat(entry):
    return (entry / "stat").read_text().rpartition(")")[2].split()
