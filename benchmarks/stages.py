"""clean and prepare beside the same work by hand in plain PySpark, on a generated portfolio.

Each side of each stage runs in a process of its own, on a JVM warmed by a small extract, one after
the other: seconds by the clock, seconds of the processors, and the peak memory of driver and JVM.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyspark

import kyros_spark
from benchmarks import plain_stages
from kyros_spark.config import SparkSettings, load_config
from kyros_spark.demo.story import generate
from kyros_spark.environment import cpu_seconds, peak_memory
from kyros_spark.spark.session import get_session

FOLDER = Path("build/bench/stages")
POLICIES = {False: 20_000_000, True: 500_000}
WARM = 100_000
MEMORY = "3200m"  # the heap; with what a JVM needs beside it, and Python, below 4 GiB
SIDES = ("plain clean", "kyros clean", "plain prepare", "kyros prepare")


def main(short=False, policies=None):
    count = policies or POLICIES[short]
    for size in (WARM, count):
        _run("generate", size)
    told = [{"what": side, **_run(side, count)} for side in SIDES]
    result = {
        "policies": count, "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "pyspark": pyspark.__version__, "heap": MEMORY, "runs": told,
    }  # fmt: skip
    (FOLDER / "stages.json").write_text(json.dumps(result, indent=1))
    sys.stdout.write(_table(count, told))


def _table(count, told):
    head = f"{'':14}{'seconds':>9}{'x plain':>9}{'processor s':>13}{'MiB':>7}{'rows out':>13}"
    lines = [f"{count:,} policies on {os.cpu_count()} cores", head]
    for one in told:
        plain = next(o for o in told if o["what"] == f"plain {one['what'].split()[1]}")
        ratio = one["seconds"] / plain["seconds"]
        lines.append(
            f"{one['what']:14}{one['seconds']:9.1f}{ratio:9.2f}{one['processor']:13.1f}"
            f"{one['mib']:7.0f}{one['rows']:13,}"
        )
        if one.get("phases"):
            lines.append(f"{'':14}{one['phases']}")
    return "\n".join([*lines, ""])


def _run(what, count):
    words = [sys.executable, "-m", "benchmarks.stages", what, str(count)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _config(count):
    folder = FOLDER / str(count)
    return load_config("conf/demo.yaml", [
        f"tables.base={folder}/tables", "batches=['2023']",
        f"sources.policies.path={folder}/source/{{batch}}/policies",
        f"sources.claims.path={folder}/source/{{batch}}/claims",
    ])  # fmt: skip


def _work(spark, what, count):
    folder, config = FOLDER / str(count), _config(count)
    side, _, stage = what.partition(" ")
    if side == "generate":
        generate(spark, config, count)
        return {"rows": count}
    if side == "plain":
        source, base = folder / "source/2023", folder / "plain"
        if stage == "clean":
            return {"rows": plain_stages.clean(spark, source, base)}
        return {"rows": plain_stages.prepare(spark, base)}
    if stage == "clean":
        shutil.rmtree(folder / "tables", ignore_errors=True)
    else:
        shutil.rmtree(folder / "tables/prepared", ignore_errors=True)
    run = getattr(kyros_spark, stage)(spark, config, batch="2023")
    assert run.status == "done", run.status
    return {"rows": run.rows_out, "phases": run.phases}


def _measured(what, count):
    spark = get_session(SparkSettings(driver_memory=MEMORY, log_level="OFF"))
    if what != "generate":
        for side in ("clean", "prepare")[: 1 + ("prepare" in what)]:
            _work(spark, f"{what.split()[0]} {side}", WARM)
    start, before = time.perf_counter(), cpu_seconds()
    told = _work(spark, what, count)
    seconds, processor = time.perf_counter() - start, cpu_seconds() - before
    mib = peak_memory()[0] or 0.0
    sys.stdout.write(json.dumps({"seconds": seconds, "processor": processor, "mib": mib, **told}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("count", type=int)
    chosen = parser.parse_args()
    _measured(chosen.what, chosen.count)
