"""Throw damaged settings, SQL statements and names at the guards, and see that each one holds.

`make bench ONLY=fuzz-inputs` reads 1,000 damaged settings files, judges 1,000 statements, and tries
10,000 names beside a batch that may not change; the short form takes a tenth of each or less.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from benchmarks import fuzz_inputs_names, fuzz_inputs_settings, fuzz_inputs_sql
from kyros_spark.config import SparkSettings, TableSettings
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.log import configure_logging
from kyros_spark.spark.session import get_session

FOLDER = Path("build/bench/fuzz-inputs").resolve()
RESULT = FOLDER.with_suffix(".json")
COUNTS = {True: (100, 60, 200), False: (1_000, 1_000, 10_000)}  # settings, statements, names


def main(short=False):
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    configure_logging()
    settings, statements, names = COUNTS[short]
    result = {}
    _try(result, "settings", settings, lambda: fuzz_inputs_settings.fuzz(settings))
    spark = _session()
    _try(result, "statements", statements, lambda: _statements(spark, statements))
    tables = DeltaTables(spark, TableSettings(base=str(FOLDER / "names")))
    _try(result, "names", names, lambda: fuzz_inputs_names.fuzz(tables, names))
    failed = {kind: part["failed"] for kind, part in result.items() if part["failed"]}
    assert not failed, f"guards that did not hold, see {RESULT}: {sorted(failed)}"


def _try(result, kind, count, fuzz):
    """Run one fuzz, and keep what came of it."""
    started = time.process_time()
    ended, failed = fuzz()
    result[kind] = {
        "tried": count,
        "ended": ended,
        "failed": failed,
        "cpu_seconds": round(time.process_time() - started, 1),
    }
    RESULT.write_text(json.dumps(result, indent=1))
    _say(f"{kind}: {count:,} tried, {len(failed)} failed")
    _say("\n".join(f"    {how}: {number:,}" for how, number in sorted(ended.items())))


def _statements(spark, count):
    location, marker = str(FOLDER / "policies"), FOLDER / "marker"
    rows = spark.range(5).selectExpr("id", "CAST(id AS STRING) AS batch_id")
    rows.write.format("delta").save(location)
    spark.read.format("delta").load(location).createOrReplaceTempView("policies")
    before = sorted(path.name for path in Path(location).rglob("*"))
    ended, wrong = fuzz_inputs_sql.fuzz(
        spark, spark.table("policies"), location, str(marker), count
    )
    assert not marker.exists(), "a statement ran"
    assert sorted(path.name for path in Path(location).rglob("*")) == before, "a statement wrote"
    return ended, wrong


def _session():
    few = {
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
    }
    return get_session(SparkSettings(driver_memory="2g", conf=few))


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
