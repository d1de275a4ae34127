"""The time from an edit to an answer: this build beside the one before it and two scripts.

pg17, a real portfolio of five years, at 1, 10 and 100 times its rows. Each side goes through the
same steps, each a command of its own, all that a command starts counted: seconds, processor
seconds, peak memory. Sides take turns, in the other order the next time. Before anything counts,
each build has run once on a few rows, so that its kernels are compiled. All sides have to come to
the same rows, claims and exposure, and to the same expected claims within 1 %.
"""

import argparse
import json
import shutil
from importlib import metadata
from pathlib import Path

from benchmarks import iteration_plot, process_tree
from benchmarks.engine import BUILD, _machine, _say
from benchmarks.iteration_chain import Chain
from benchmarks.iteration_data import BYTES_A_COPY, PG17, extract, first_rows
from benchmarks.iteration_sides import PREVIOUS, commit_of, sides
from benchmarks.iteration_table import OURS, PEERS, table
from benchmarks.iteration_totals import differences
from benchmarks.memory_limit import memory_limit

FOLDER = BUILD / "iteration"
# Times pg17's rows -> repetitions, the JVM's heap, and the steps: None for all of them.
SIZES = {1: (3, "3g", None), 10: (1, "3g", None), 100: (1, "8g", ("year 0", "years 1-4"))}
SHORT = (1, "3g", ("year 0", "years 1-4", "unchanged", "edited cap", "warm train"))
LEAST_MEMORY = {1: 6_000, 10: 8_000, 100: 16_000}  # MiB: below, Spark's own sides would not do
SPARED = 1_024  # MiB of what is free that nothing measured may take
WARM_ROWS = 5_000
# Some levels of a few rows have no claim, so that a GLM would diverge.
WARM = {
    "frequency_boost": {
        "method": "boosting", "family": "poisson", "target": "claim_count", "per": "exposure",
        "boosting": {"rounds": 5},
    },
    "frequency_glm": {
        "method": "glm", "family": "poisson", "target": "claim_count", "per": "exposure",
        "features": ["coverage", "usage", "age"], "glm": {"alpha": 0.01},
    },
}  # fmt: skip
PACKAGES = ("kyros-spark", "pyspark", "delta-spark", "pandas", "xgboost-cpu", "pyarrow")


def main(short=False, times=None, previous=PREVIOUS):
    if not PG17.exists():
        _say(f"iteration: expected the extracts of pg17 in {PG17}, found none; not measured")
        return
    process_tree.adopt_orphans()
    shutil.rmtree(FOLDER / "runs", ignore_errors=True)
    (FOLDER / "runs").mkdir(parents=True)
    built = sides(BUILD / "previous", previous)
    result = {
        "machine": _machine(), "previous": commit_of(previous), "differences": {},
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "absent": [name for name in (*OURS, *PEERS) if name not in built], "records": [],
    }  # fmt: skip
    _say(f"{result['machine']['cpu']}; sides: {', '.join(built)}")
    _warm(built)
    for size in times or ([1] if short else [n for n in SIZES if _fits(n)]):
        for record in _measured(built, size, SHORT if short else SIZES.get(size, SIZES[10])):
            result["records"].append(record)
            (BUILD / "iteration.json").write_text(json.dumps(result, indent=1))
        mine = [record for record in result["records"] if record["times"] == size]
        result["differences"][size] = differences(mine)
        _say(f"{size:>4} x  largest differences of totals: {result['differences'][size]}")
    (BUILD / "iteration.json").write_text(json.dumps(result, indent=1))
    _say(table(result))
    picture = BUILD / "iteration.svg"
    iteration_plot.draw(result, picture)
    _say(f"raw numbers: {BUILD / 'iteration.json'}; as a picture: {picture}")


def _measured(built, size, how):
    """Yield the records of a size: the sides take turns, in the other order the next time."""
    repetitions, heap, steps = how
    source = extract(FOLDER / "data", size)
    with memory_limit(_memory("MemAvailable") - SPARED) as limited:
        for repetition in range(repetitions):
            for side in list(built.values())[:: -1 if repetition % 2 else 1]:
                about = {"side": side.name, "times": size, "repetition": repetition}
                folder = FOLDER / "runs" / f"{side.name}-{size}"
                yield from Chain(side, source, folder, about, heap, limited).measured(steps)
                shutil.rmtree(folder / "tables", ignore_errors=True)


def _warm(built):
    """Let each build run once on a few rows: its kernels and its bytecode are compiled then."""
    source = first_rows(FOLDER / "data", WARM_ROWS)
    for name, side in built.items():
        if side.is_script or name == "session":
            continue
        folder = FOLDER / "runs" / f"{name}-warm"
        folder.mkdir()
        train = {"batches": ["0"], "models": WARM}
        settings = side.settings(folder, source, train=train, predict={"models": list(WARM)})
        words = [*side.words, "run", "--config", settings, "--batch", "0"]
        taken = process_tree.run(words, folder / "run", cwd=side.cwd, env=side.environment)
        assert taken.code == 0, taken.errors[-3000:]
        _say(f"{name}: warm after {taken.seconds:.1f} s")


def _fits(size):
    """Tell whether a size has room on this machine; say so where it has not."""
    disk, memory = shutil.disk_usage(BUILD).free, _memory("MemAvailable")
    room = disk > size * BYTES_A_COPY and memory > LEAST_MEMORY[size]
    if not room:
        _say(f"{size:>4} x  not measured: {disk / 1e9:.0f} GB of disk, {memory:,} MiB are free")
    return room


def _memory(name):
    """Return a number of /proc/meminfo, in MiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.iteration", description=__doc__)
    parser.add_argument("times", nargs="*", type=int, help="sizes up to 100 (default: 1, 10, 100)")
    parser.add_argument("--previous", default=PREVIOUS, help="the commit to compare with")
    chosen = parser.parse_args()
    main(times=chosen.times, previous=chosen.previous)
