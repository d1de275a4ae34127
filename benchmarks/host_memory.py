"""Run a command and watch what all its processes hold of the host's memory."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.25  # s
_AT_MOST = 60.0  # s: a process that was killed and that nobody waits for stays listed


@dataclass(frozen=True)
class Watched:
    """How a command went: seconds, exit code, peak MiB of it and all that it started, its words.

    own: of mib, heaps and arrays: what the system cannot drop and read again from a file.
    """

    seconds: float
    code: int
    mib: float
    own: float
    told: str


def watched(words, log, kill_after=None, **given):
    """Run a command to its end, or kill it and all that it started after so many seconds."""
    start, peak, own = time.perf_counter(), 0.0, 0.0
    with Path(log).open("w") as out:
        process = subprocess.Popen(
            list(map(str, words)), stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            **given,
        )  # fmt: skip
        while process.poll() is None:
            now, anonymous = held(process.pid)
            peak, own = max(peak, now), max(own, anonymous)
            if kill_after is not None and time.perf_counter() - start > kill_after:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_EVERY)
    seconds = time.perf_counter() - start
    _outlived(process.pid)
    return Watched(seconds, process.returncode, peak, own, Path(log).read_text())


def _outlived(session):
    """Wait for what outlives its parent: a JVM that removes what it spilled holds memory still."""
    latest = time.perf_counter() + _AT_MOST
    while any(members(session)) and time.perf_counter() < latest:
        time.sleep(_EVERY)


def held(session):
    """Return MiB of the processes of a session, in all and of no file; what they share counts once.

    A kernel without Pss_Anon and Pss_Shmem in smaps_rollup tells 0 of the second.
    """
    found = [proportional(Path(f"/proc/{pid}")) for pid in members(session)]
    return tuple(sum(column) / 1024 for column in zip(*found, strict=True)) or (0.0, 0.0)


def members(session):
    """Yield the processes of a session, whatever group they put themselves into."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    yield int(entry.name)
            except OSError:  # it ended meanwhile
                continue


def _is_being_spawned(entry):
    """Tell a child of a JVM that is not yet another program: it shows all of the JVM's memory."""
    program = (entry / "exe").readlink()
    if program.name != "java":
        return False
    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
    return Path(f"/proc/{parent}/exe").readlink() == program


def proportional(entry):
    """Return a process's share of the memory it maps, in KiB: of all, and of no file."""
    try:
        if _is_being_spawned(entry):
            return 0, 0
        lines = (entry / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kib.get("Pss", 0), kib.get("Pss_Anon", 0) + kib.get("Pss_Shmem", 0)
