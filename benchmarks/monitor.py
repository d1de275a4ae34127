"""monitor beside predict on the same batch: CPU seconds of each, taken in turns in one session.

The demo's book: its models are trained and its baseline is frozen on a small batch. Then the large
batch is predicted and monitored anew several times; the median counts. monitor may cost 15 % of
predict.
"""

import json
import os
import platform
import sys
from pathlib import Path
from statistics import median

import pyspark

from kyros_spark.config import SparkSettings, load_config
from kyros_spark.demo.story import generate
from kyros_spark.spark.session import get_session
from kyros_spark.stages.clean.stage import clean
from kyros_spark.stages.monitor.stage import monitor
from kyros_spark.stages.pipeline import run
from kyros_spark.stages.predict.stage import predict
from kyros_spark.stages.prepare.stage import prepare

FOLDER, RESULT = Path("build/bench/monitor"), Path("build/bench/monitor.json")
POLICIES = {False: 5_000_000, True: 500_000}
TRAINED_ON, TURNS, BUDGET = 100_000, {False: 5, True: 3}, 0.15


def main(short=False, policies=None):
    count = policies or POLICIES[short]
    spark = get_session(SparkSettings(driver_memory="3200m"), app="bench monitor")
    base = ["batches=['2023', '2024']", f"tables.base={FOLDER}/{count}/tables"]
    for batch, size in (("2023", TRAINED_ON), ("2024", count)):
        config = _config(f"batches=['{batch}']", base[1])
        generate(spark, config, size)
    config = _config(*base)
    run(spark, config, ["2023"])
    for stage in (clean, prepare):
        stage(spark, config, "2024")
    turns = [_turn(spark, base, turn) for turn in range(TURNS[short])]
    result = {
        "policies": count, "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "pyspark": pyspark.__version__, "turns": turns,
    }  # fmt: skip
    for kind in ("processor", "seconds"):
        result[kind] = {s: median(turn[s][kind] for turn in turns) for s in turns[0]}
    spent, seconds = result["processor"], result["seconds"]
    result["share"] = spent["monitor"] / spent["predict"]
    RESULT.write_text(json.dumps(result, indent=1))
    sys.stdout.write(
        f"{count:,} policies: predict {spent['predict']:.1f} s of the processors, monitor "
        f"{spent['monitor']:.1f} s, {result['share']:.1%} of it (at most {BUDGET:.0%} on "
        f"{POLICIES[False]:,}); by the clock {seconds['predict']:.1f} s and "
        f"{seconds['monitor']:.1f} s\n"
    )


def _turn(spark, base, turn):
    """Predict and monitor once more, by settings that change nothing but the fingerprint."""
    config = _config(
        *base, f"predict.unseen_warning_share={0.5 + turn / 100}",
        f"monitor.false_alarm_rate={0.01 + turn / 10000}",
    )  # fmt: skip
    runs = {"predict": predict(spark, config, "2024"), "monitor": monitor(spark, config, "2024")}
    return {
        stage: {"processor": done.resources["processor"], "seconds": done.seconds,
                "phases": done.phases}
        for stage, done in runs.items()
    }  # fmt: skip


def _config(*changes):
    source = FOLDER / "source" / "{batch}"
    return load_config("conf/demo.yaml", [
        f"sources.policies.path={source}/policies", f"sources.claims.path={source}/claims",
        *changes,
    ])  # fmt: skip
