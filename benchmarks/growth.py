"""How seconds and memory grow with the rows: the same stages, each below one limit of memory.

An extract as warehouses give it: the demo's columns, and a long one that no setting names, so that
the largest size is ten times the limit. Each size is cleaned, prepared, trained on (a GLM) and
predicted (by that and a boosted model, of a small batch: xgboost holds its rows in memory), by
processes of their own in a control group that holds driver, JVM and Python workers together; before
them a small batch with one key a hundred times a partition's. The JVM commits its whole heap as it
starts: else memory grows with the rows until it has what it may have, whatever it needs.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyspark

from benchmarks.demo_settings import demo_settings, written
from benchmarks.host_memory import watched
from benchmarks.memory_limit import memory_limit

FOLDER = Path("build/bench/growth").resolve()
SIZES = {False: (1, 4, 16, 64, 100), True: (0.1, 0.4)}  # million policies
TRAINED_ON, FIRST = 0.2, 2022
LIMIT, HEAP = 2240, "1g"  # MiB of all processes; the JVM's heap
PADDING = 1  # columns of 160 characters that nobody asked for
SKEWED, COPIES = 0.4, 5_000_000  # million policies, and how often one of them is there again
# Of malloc's arenas as many as Hadoop's own scripts allow; by default there are eight a core.
COMMITTED = {
    **os.environ, "SPARK_SUBMIT_OPTS": f"-Xms{HEAP} -XX:+AlwaysPreTouch", "MALLOC_ARENA_MAX": "4",
}  # fmt: skip
STAGES = ("clean", "prepare", "train", "predict")
STUDY = 20e12  # bytes


def main(short=False, sizes=None):
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    sizes = sizes or SIZES[short]
    settings = _settings(len(sizes) + 1)
    rows = []
    with memory_limit(LIMIT) as limited:
        _say(f"limit: {LIMIT} MiB for all processes" if limited else "no control group: unlimited")
        _generate(settings, FIRST, TRAINED_ON)
        for stage in ("clean", "prepare", "train"):
            rows.append(_stage(settings, stage, FIRST, TRAINED_ON, limited))
        settings = _settings(len(sizes) + 1, boosted=False)
        _keep(rows, limited)
        skewed = _skewed(settings, FIRST + 1, limited, COPIES // (100 if short else 1))
        for year, size in enumerate(sizes, FIRST + 2):
            _generate(settings, year, size)
            for stage in STAGES:
                rows.append(_stage(settings, stage, year, size, limited))
                _keep([*rows, *skewed], limited)  # hours are not lost to a failure at the end
            shutil.rmtree(FOLDER / f"source/{year}")
    _say(_table(rows, sizes))


def _keep(rows, limited):
    result = {
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "pyspark": pyspark.__version__, "limit_mib": LIMIT if limited else None, "heap": HEAP,
        "runs": rows,
    }  # fmt: skip
    (FOLDER / "growth.json").write_text(json.dumps(result, indent=1))


def _skewed(settings, year, limited, copies):
    """Take a batch of one policy's copies and claims through the stages; none counts twice."""
    _generate(settings, year, SKEWED, copies)
    _say(f"skewed: {copies:,} copies of one policy, {copies // 10:,} claims of it")
    done = {stage: _stage(settings, stage, year, SKEWED, limited) for stage in STAGES}
    found = done["prepare"]["rows_out"]
    assert 0.97 * SKEWED * 1e6 < found <= SKEWED * 1e6, found
    shutil.rmtree(FOLDER / f"source/{year}")
    return [{**one, "copies": copies} for one in done.values()]


def _stage(settings, stage, year, size, limited):
    source = sum(path.stat().st_size for path in (FOLDER / f"source/{year}").rglob("*.csv"))
    words = [sys.executable, "-m", "kyros_spark", stage, "--config", settings, "--batch", str(year)]
    if stage == "train":
        words += ["--set", f"train.batches=[{year}]"]
    done = watched(words, FOLDER / f"{stage}-{year}.txt", preexec_fn=limited, env=COMMITTED)
    assert done.code == 0, done.told[-3000:]
    line = json.loads(done.told.splitlines()[-1])
    told = {
        "stage": stage, "millions": size, "seconds": done.seconds, "mib": done.mib,
        "own_mib": done.own, "rows_out": line["rows_out"], "extract_bytes": source,
        "resources": line["resources"],
    }  # fmt: skip
    _say(f"{stage:8} {size:6g} M policies, {source / 2**30:6.2f} GiB of extract: "
         f"{done.seconds:8.1f} s, {done.own:6,.0f} MiB, {done.mib:6,.0f} with files")  # fmt: skip
    return told


def _table(rows, sizes):
    """Fit a line a stage, and say what it would mean for the case study."""
    lines, hours = ["", f"{'':10}{'fixed s':>10}{'s a million':>14}{'MiB, least to most':>22}"], 0.0
    for stage in STAGES:
        mine = [row for row in rows if row["stage"] == stage and row["millions"] in sizes]
        x, y = ([row[key] for row in mine] for key in ("millions", "seconds"))
        slope, fixed = np.polyfit(x, y, 1)
        mib = [row["own_mib"] for row in mine]
        lines.append(f"{stage:10}{fixed:10.1f}{slope:14.2f}{min(mib):14,.0f}{max(mib):8,.0f}")
        most = max(mine, key=lambda row: row["millions"])
        largest = most["extract_bytes"] / (most["millions"] * 1e6)
        hours += slope * STUDY / largest / 1e6 / 3600 * os.cpu_count()
    lines.append(
        f"an extract of 20 TB at {largest:,.0f} bytes a policy is {STUDY / largest / 1e9:,.1f} "
        f"thousand million policies: {hours:,.0f} hours of a core by the lines above, if cores "
        f"and the store scale evenly; with 512 cores {hours / 512:.1f} hours"
    )
    return "\n".join(lines)


def _settings(count, boosted=True):
    """Write the demo's settings with one batch a size, and the models to train."""
    made = demo_settings(FOLDER, (str(FIRST + n) for n in range(count + 1)))
    models = made["train"]["models"]
    models["frequency_glm"]["glm"] = {"alpha": 0.01}  # some levels of small batches have no claim
    kept = ("frequency_glm", "frequency_boost")
    made["predict"] = {"models": list(kept)}
    made["train"] = {
        "batches": [str(FIRST)],
        "models": {name: models[name] for name in (kept if boosted else kept[:1])},
    }
    made["sources"]["policies"]["extra_columns"] = "ignore"
    made["spark"] = {"driver_memory": HEAP}
    return written(FOLDER, made)


def _generate(settings, year, millions, copies=0):
    """Write an extract in a process of its own, outside the limit."""
    words = [sys.executable, "-m", "benchmarks.growth_extract", settings, year, FIRST]
    words += [int(millions * 1e6), PADDING, copies]
    subprocess.run(list(map(str, words)), check=True, stderr=subprocess.DEVNULL)


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
