"""One side's steps on one size of the extract, each measured."""

import shutil
import tempfile
from contextlib import contextmanager

from benchmarks import process_tree
from benchmarks.engine import _say
from benchmarks.iteration_totals import totals_of

RESIDENT = "session"
_ALONE = "a Spark of its own"  # so says a command that no session took
_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "Cannot allocate memory", "bad_alloc")


class Chain:
    """The steps of a side, in a folder of their own.

    about: what all records of the chain have: side, times, repetition.
    limited: what a child does to come under the limit of memory, or None.
    """

    def __init__(self, side, source, folder, about, heap, limited=None):
        self.side, self.source, self.folder, self.about = side, source, folder, about
        self.given = {"cwd": side.cwd, "env": side.environment, "preexec_fn": limited}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.steps = side.steps(folder, source, heap)

    def measured(self, wanted=None):
        """Yield a record a step, of the steps wanted; end where memory does not suffice."""
        with self._session() as started:
            yield from started
            for name, words in self.steps.items():
                if wanted is None or name in wanted:
                    record = self._record(name, self._run(name, words))
                    yield record
                    if "cannot" in record:
                        return

    @contextmanager
    def _session(self):
        """Keep a session of its own during the block, if the side has one."""
        if self.side.name != RESIDENT:
            yield []
            return
        with tempfile.TemporaryDirectory(prefix="kyros-") as place:
            self.given["env"] = {**self.side.environment, "XDG_RUNTIME_DIR": place}
            try:
                yield [self._record("start", self._session_command("start"))]
            finally:
                self._session_command("stop")

    def _session_command(self, what):
        words = (*self.side.words, "session", what, "--config", self.folder / "settings.yaml")
        return self._run(what, words, resident=what)

    def _run(self, name, words, **kind):
        log = self.folder / name.replace(" ", "-")
        return process_tree.run(words, log, **kind, **self.given)

    def _record(self, name, taken):
        if self.side.name == RESIDENT and _ALONE in taken.errors:
            raise RuntimeError(f"{name}: the session did not take it: {taken.errors[:1000]}")
        record = {**self.about, "step": name}
        if taken.code:
            record["cannot"] = _out_of_memory(taken, f"{self.side.name}, {name}")
        else:
            record |= {"seconds": taken.seconds, "processor": taken.processor}
            record |= _told(name, taken.last)
        record["mib"] = taken.mib
        if name == "years 1-4" and not taken.code:
            record["totals"] = totals_of(self.folder, self.side)
        _say(line_of(record))
        return record


def line_of(record):
    """Return a record as text."""
    head = f"{record['times']:>4} x  {record['side']:<9} {record['step']:<13}"
    if "cannot" in record:
        return f"{head}-  ({record['cannot']})"
    seconds = f"{record['seconds']:>8.1f} s"
    spent = "" if record["processor"] is None else f"{record['processor']:>8.1f} processor s"
    stages = ", ".join(f"{name} {s:.1f}" for name, s in record.get("stages", {}).items())
    return f"{head}{seconds}{spent}{record['mib']:>8,.0f} MiB  {stages}"


def _told(name, line):
    """Return what a step's own last line adds to its record."""
    if name == "unchanged":
        assert line["status"] == "skipped", f"unchanged, but {line['status']}: {line.get('steps')}"
    if "seconds_each" in line:  # the second run of a stage in one process: that one is warm
        return {"seconds": line["seconds_each"][-1], "processor": None}
    if "steps" in line:
        stages = {}
        for step in line["steps"]:
            stages[step["stage"]] = stages.get(step["stage"], 0.0) + step["seconds"]
        return {"stages": stages}
    if "phases" in line:
        return {"stages": line["phases"]}
    return {}


def _out_of_memory(taken, what):
    """Return that memory did not suffice; a failure of another kind ends the benchmark.

    Raises:
        RuntimeError: the command failed for something else.
    """
    text = taken.errors + "\n".join(taken.lines[-1:])
    if taken.code in (-9, 137) or any(word in text for word in _OUT_OF_MEMORY):
        return f"out of memory, at {taken.mib:,.0f} MiB"
    raise RuntimeError(f"{what}: exit code {taken.code}: {text[-3000:]}")
