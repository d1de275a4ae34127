"""Kill the chain again and again, at random instants, and see that nothing is lost or doubled.

A small generated portfolio of several micro-batches a batch goes through clean, prepare, train and
predict once undisturbed. Then the same command is given on the same extracts and killed with
SIGKILL: the driver, its JVM, or a Python worker. Given again until a round ends well, it has to
have left the same rows in every table. Every version of `predictions` ever committed is read from
its log: each (batch, model) has to be whole in it or absent, more than a reader that polls sees.
"""

import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.demo_settings import demo_settings, generate, written
from benchmarks.storm_tables import broken_versions, rows_of

FOLDER = Path("build/bench/storm").resolve()
POLICIES = 6_000
PARTS = 3  # micro-batches a batch, at least
BATCHES = ("2023", "2024")
LATEST = 0.6  # of the undisturbed time: what is done is not done again, so later steps come too
VICTIMS = ("driver", "JVM", "worker")
_PART = re.compile(r"predict (\d+): micro-batch (\d+) of \d+ written")
_STEP = re.compile(r"step \d+ of \d+: (\w+) (\S+)")


def main(short=False, kills=None, seed=7):
    wanted = kills or (15 if short else 200)
    chance = random.Random(seed)
    shutil.rmtree(FOLDER, ignore_errors=True)
    started = time.perf_counter()
    generate(_settings(), POLICIES)
    calm = _Attempt("calm")
    whole = calm.wait()
    assert calm.code == 0, calm.told()
    expected = rows_of(FOLDER / "calm")
    _say(f"undisturbed: {whole:.1f} s, {sum(map(len, expected.values())):,} rows in all tables")
    told, redone, round_ = [], 0, 0
    while len(told) < wanted:
        base = f"storm-{round_}"
        done, kills_here = _round(base, chance, whole, wanted - len(told))
        told += kills_here
        redone = max(redone, done)
        found = rows_of(FOLDER / base)
        for table, rows in expected.items():
            assert found[table] == rows, f"{base}, table {table}: rows differ"
        broken = broken_versions(FOLDER / base / "tables/predictions", whole_of(expected))
        assert not broken, f"{base}: versions that show a part of a batch: {broken}"
        _say(f"round {round_}: {len(told)} kills so far, all tables as undisturbed")
        shutil.rmtree(FOLDER / base)
        round_ += 1
    result = {
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "kills": told, "rounds": round_, "micro_batches_redone_at_most": redone,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
    (FOLDER / "storm.json").write_text(json.dumps(result, indent=1))
    _say(_table(told, round_, redone))


def whole_of(expected):
    """Return rows by (batch, model) of the undisturbed predictions."""
    rows = map(dict, expected["predictions"])
    return Counter((row["batch_id"], row["model_name"]) for row in rows)


def _round(base, chance, whole, most):
    """Give the command until it ends well; return the most that one redid, and the kills."""
    kills, written, redone = [], set(), 0
    while True:
        attempt = _Attempt(base)
        killed = None
        if len(kills) < most:
            killed = attempt.kill(chance.choice(VICTIMS), chance.uniform(0.5, LATEST * whole))
        attempt.wait()
        parts = set(attempt.parts())
        redone, written = max(redone, len(parts & written)), written | parts
        if killed:
            kills.append({"victim": killed, "at": attempt.last_step, "exit": attempt.code})
        if attempt.code == 0:
            return redone, kills
        if not killed and "ConcurrentRunError" not in attempt.told():  # a JVM whose driver is gone
            raise AssertionError(attempt.told())


class _Attempt:
    """One run of the command, in a process group of its own."""

    def __init__(self, base):
        self.log = FOLDER / base / f"log-{time.time_ns()}.txt"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        words = [
            sys.executable, "-m", "kyros_spark", "run", "--config", FOLDER / "settings.yaml",
            "--set", f"tables.base={FOLDER / base / 'tables'}",
        ]  # fmt: skip
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                list(map(str, words)), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self, victim, after):
        """Kill the victim so many seconds from now; return what was killed, if anything was."""
        time.sleep(after)
        pid = self._pid(victim) or self._pid("driver")
        if pid is None or self.process.poll() is not None:
            return None
        os.kill(pid, signal.SIGKILL)
        return victim

    def wait(self):
        start = time.perf_counter()
        self.code = self.process.wait(timeout=900)
        return time.perf_counter() - start

    @property
    def last_step(self):
        steps = _STEP.findall(self.log.read_text())
        return steps[-1][0] if steps else "start"

    def parts(self):
        return _PART.findall(self.log.read_text())

    def told(self):
        return self.log.read_text()[-3000:]

    def _pid(self, victim):
        if victim == "driver":
            return self.process.pid if self.process.poll() is None else None
        wanted = {"JVM": "java", "worker": "pyspark.daemon"}[victim]
        found = subprocess.run(
            ["pgrep", "-g", str(os.getpgid(self.process.pid)), "-f", wanted]
            if self.process.poll() is None else ["true"],
            capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
        return int(found[-1]) if found else None


def _settings():
    """Write the demo's settings: two batches, small micro-batches, two models that fit quickly."""
    made = demo_settings(FOLDER, BATCHES)
    models = made["train"]["models"]
    models["frequency_boost"]["boosting"]["rounds"] = 10
    models["frequency_glm"]["glm"] = {"alpha": 0.01}  # some levels are without a claim
    kept = ("frequency_glm", "frequency_boost")
    made["train"]["models"] = {name: models[name] for name in kept}
    made["predict"] = {"models": list(kept), "rows_per_micro_batch": POLICIES // PARTS}
    made["tables"]["rows_per_file"] = POLICIES // PARTS // 2
    FOLDER.mkdir(parents=True)
    return written(FOLDER, made)


def _table(told, rounds, redone):
    lines = [
        f"{len(told)} kills in {rounds} rounds; micro-batches redone by one run at most: {redone}"
    ]
    steps = ("start", "clean", "prepare", "train", "predict")
    lines.append(f"{'killed':<10}" + "".join(f"{step:>10}" for step in steps))
    for victim in VICTIMS:
        counts = Counter(one["at"] for one in told if one["victim"] == victim)
        lines.append(f"{victim:<10}" + "".join(f"{counts[step]:>10}" for step in steps))
    return "\n".join([*lines, "every table as undisturbed, no version with a part of a batch"])


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
