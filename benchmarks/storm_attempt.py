"""Give the command of a chain in a process group of its own, and kill a process of it."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmarks.host_memory import members

VICTIMS = ("driver", "JVM", "worker")
TRIES = 4  # of a task, and of a boosted fit
QUIET = 600  # s without a word: it hangs
_PART = re.compile(r"predict (\d+): micro-batch (\d+) of \d+ written")
_STEP = re.compile(r'"(\S+)", "level": "info", "message": "step (\d+) of \d+: (\w+)')
_TIME = re.compile(r'"time": "(\S+)"')


class Attempt:
    """One run of the command, in a process group of its own."""

    def __init__(self, folder, base, *settings):
        self.victims = []
        self.log = folder / base / f"log-{time.time_ns()}.txt"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        words = [
            sys.executable, "-m", "kyros_spark", "run", "--config", folder / "settings.yaml",
            *(word for one in (f"tables.base={folder / base / 'tables'}", *settings)
              for word in ("--set", one)),
        ]  # fmt: skip
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                list(map(str, words)), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def alive(self):
        """Tell whether it runs; one that hangs is killed, and a fault."""
        if self.process.poll() is not None:
            return False
        if time.time() - self.log.stat().st_mtime > QUIET:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"no word for {QUIET} s: {self.told()}")
        return True

    def reach(self, step):
        """Wait until a step begins; tell whether it was reached, and the run goes on."""
        while self.step < step and self.alive():
            time.sleep(0.05)
        return self.alive()

    def kill(self, victim, after):
        """Kill the victim so many seconds from now; return what was killed, if anything was."""
        time.sleep(after)
        pid = self._pid(victim)
        while pid is None and self.alive():  # workers are there for some steps only
            time.sleep(0.05)
            pid = self._pid(victim)
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended at that very instant
            return "gone"
        self.victims.append(victim)
        return victim

    def ended_as_killed(self):
        """Tell whether it failed by a kill, and said so where it still could."""
        if self.code == -signal.SIGKILL:
            return "driver" in self.victims
        if self.victims.count("worker") >= TRIES and "WorkerLostError" in self.told():
            return True
        return "JVM" in self.victims and "SparkLostError" in self.told()

    def seconds(self):
        """Return how long each step of a run that ended well took, by its number."""
        log = self.log.read_text()
        begun = [datetime.fromisoformat(at) for at, _, _ in _STEP.findall(log)]
        ended = datetime.fromisoformat(_TIME.findall(log)[-1])
        spans = [(b - a).total_seconds() for a, b in pairwise([*begun, ended])]
        return dict(enumerate(spans, 1))

    def wait(self):
        start = time.perf_counter()
        while self.alive():
            time.sleep(0.1)
        self.code = self.process.returncode
        return time.perf_counter() - start

    @property
    def step(self):
        """The number of the step it is in; 0 before the first."""
        return max(self.stages(), default=0)

    def stages(self):
        """Return the stage of each step that it came to, by its number."""
        return {int(number): stage for _, number, stage in self._steps()}

    def _steps(self):
        return _STEP.findall(self.log.read_text())

    def parts(self):
        return _PART.findall(self.log.read_text())

    def told(self):
        return self.log.read_text()[-3000:]

    def _pid(self, victim):
        if victim == "driver":
            return self.process.pid if self.process.poll() is None else None
        wanted = {"JVM": "java", "worker": "pyspark.daemon"}[victim]
        found = [pid for pid in members(self.process.pid) if wanted in _command(pid)]
        return max(found) if found else None


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it ended meanwhile
        return ""
