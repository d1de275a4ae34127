"""Kill the chain again and again, at random instants, and see that nothing is lost or doubled.

A small generated portfolio of several micro-batches a batch goes through clean, prepare, train and
predict once undisturbed. Then the same command is given on the same extracts and killed with
SIGKILL: the driver, its JVM, or a Python worker. Given again until a round ends well, it has to
have left the same rows in every table. Where lanes are odd, tasks of Spark read and write the
files of predict themselves (`predict.read: direct`). Every version of `predictions` ever committed
is read from its log: each (batch, model) has to be whole in it or absent, more than a reader that
polls sees.
"""

import itertools
import json
import os
import platform
import random
import shutil
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.demo_settings import demo_settings, generate, written
from benchmarks.storm_attempt import VICTIMS, Attempt
from benchmarks.storm_tables import broken_versions, rows_of

FOLDER = Path("build/bench/storm").resolve()
POLICIES = 6_000
PARTS = 3  # micro-batches a batch, at least
BATCHES = ("2023", "2024")
EACH = {True: 1, False: 4}  # kills aimed at each step of a round, short and in full
BUSY = 1.5  # times as long as undisturbed takes a step beside another portfolio's
AWAY = 5  # attempts in a row that may find the work still held by the JVM of a driver that is gone
LANES = 2  # portfolios side by side: starting a session leaves a core idle
READ = ("spark", "direct")  # who reads and writes for predict, by lane
WEIGHTS = (1, 1, 3)  # a run outlives its workers: they are killed more than once in one


def main(short=False, kills=None, seed=7):
    shutil.rmtree(FOLDER, ignore_errors=True)
    generate(_settings(), POLICIES)
    expected = {}
    for read in READ:
        calm = Attempt(FOLDER, f"calm-{read}", _read_by(read))
        whole = calm.wait()
        assert calm.code == 0, calm.told()
        expected[read] = rows_of(FOLDER / f"calm-{read}")
        rows = sum(map(len, expected[read].values()))
        _say(f"undisturbed, predict.read {read}: {whole:.1f} s, {rows:,} rows in all tables")
    steps = calm.stages(), calm.seconds()
    storm = _Storm(expected, steps, EACH[short], kills or (15 if short else 200))
    with ThreadPoolExecutor(LANES) as lanes:
        chances = [random.Random(seed + n) for n in range(LANES)]
        try:
            list(lanes.map(storm.rage, range(LANES), chances))
        finally:
            storm.keep()
    _say(_table(storm.told, len(storm.rounds), storm.redone))


class _Storm:
    """The kills wanted, shared by portfolios that go through the chain side by side."""

    def __init__(self, expected, steps, each, wanted):
        self.expected, self.wanted = expected, wanted
        self.stages, self.seconds = steps
        count = Counter(self.stages.values())
        # A stage with one step is aimed at as often as one with a step a batch.
        times = {step: each * max(count.values()) // count[s] for step, s in self.stages.items()}
        self.aims = [step for step in sorted(times) for _ in range(times[step])]
        self.told, self.rounds, self.redone, self.lock = [], [], 0, threading.Lock()
        self.fault, self.started = None, time.perf_counter()

    def rage(self, lane, chance):
        """Give rounds of the command, each in tables of its own, until all kills are done."""
        try:
            for number in itertools.count():
                if self.over():
                    return
                self._through(f"storm-{lane}-{number}", chance)
        except BaseException as fault:
            self.fault = self.fault or str(fault)
            raise

    def over(self):
        """Tell whether no more kills are wanted, or a fault was found in another lane."""
        return len(self.told) >= self.wanted or self.fault is not None

    def _through(self, base, chance):
        self._round(base, chance)
        found, expected = rows_of(FOLDER / base), self.expected[_reader(base)]
        for table, rows in expected.items():
            assert found[table] == rows, f"{base}, table {table}: rows differ"
        broken = broken_versions(FOLDER / base / "tables/predictions", whole_of(expected))
        assert not broken, f"{base}: versions that show a part of a batch: {broken}"
        shutil.rmtree(FOLDER / base)
        self.rounds.append(base)
        self.keep()
        done = f"{len(self.rounds)} rounds, {len(self.told)} kills"
        _say(f"{done}: all tables as undisturbed, {time.perf_counter() - self.started:.0f} s")

    def keep(self):
        """Write down what happened so far; rounds that ended are known to have lost nothing."""
        result = {
            "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "kills": self.told, "rounds_ended": self.rounds,
            "micro_batches_redone_at_most": self.redone, "fault": self.fault,
            "seconds": time.perf_counter() - self.started,
        }  # fmt: skip
        (FOLDER / "storm.json").write_text(json.dumps(result, indent=1))

    def _round(self, base, chance):
        """Give the command until it ends well; kill it in every step, once it has come there."""
        written, aims, furthest, away = set(), list(self.aims), 0, 0
        while True:
            attempt, ended = Attempt(FOLDER, base, _read_by(_reader(base))), False
            while aims and attempt.alive() and not self.over() and not ended:
                # An aim that the run is past by now is taken where it is.
                step = max(aims.pop(0), furthest, attempt.step)
                if attempt.reach(step):
                    ended = self._kill(attempt, base, self._after(step, furthest, chance), chance)
            attempt.wait()
            furthest = max(furthest, attempt.step)  # all before it are done, and only skipped now
            parts = set(attempt.parts())
            with self.lock:
                self.redone = max(self.redone, len(parts & written))
            written |= parts
            if attempt.code == 0:
                return
            away = away + 1 if "ConcurrentRunError" in attempt.told() else 0
            assert attempt.ended_as_killed() or 0 < away <= AWAY, attempt.told()

    def _after(self, step, furthest, chance):
        """Draw an instant of a step; a session's first takes as long as the first of all."""
        first = step == furthest
        longest = max(self.seconds.values()) if first else self.seconds[step]
        return chance.uniform(0, BUSY * longest)

    def _kill(self, attempt, base, after, chance):
        """Kill one process after so many seconds; tell whether the run has to end by that."""
        victim = attempt.kill(chance.choices(VICTIMS, WEIGHTS)[0], after)
        if victim in VICTIMS:
            stage = self.stages[attempt.step]
            with self.lock:
                self.told.append({"victim": victim, "at": stage, "round": base})
        return victim not in ("worker", "gone")  # Spark tries the task of a dead worker again


def _reader(base):
    """Return who reads for predict in a round: of storm-LANE-NUMBER, by the lane."""
    return READ[int(base.split("-")[1]) % len(READ)]


def _read_by(who):
    return f"predict.read={who}"


def whole_of(expected):
    """Return rows by (batch, model) of the undisturbed predictions."""
    rows = map(dict, expected["predictions"])
    return Counter((row["batch_id"], row["model_name"]) for row in rows)


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
    steps = ("clean", "prepare", "train", "predict")
    lines.append(f"{'killed':<10}" + "".join(f"{step:>10}" for step in steps))
    for victim in VICTIMS:
        counts = Counter(one["at"] for one in told if one["victim"] == victim)
        lines.append(f"{victim:<10}" + "".join(f"{counts[step]:>10}" for step in steps))
    in_predict = Counter(_reader(one["round"]) for one in told if one["at"] == "predict")
    lines.append("in predict, by who reads: " + ", ".join(f"{r} {in_predict[r]}" for r in READ))
    return "\n".join([*lines, "every table as undisturbed, no version with a part of a batch"])


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
