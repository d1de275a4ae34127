"""Put random portfolios through all stages, and hold every table against a naive twin.

A seed draws a portfolio (`book`): types, delimiters, keys, rules, amounts, features, models, and
files with what real extracts have wrong with them. The twin (`book_twin...`) reads the files again
and applies the written rules by loops over Python values. Four laws have to hold (`book_laws`):
rows in are rows out and each told reason, amounts reconcile to the cent, what train says of its own
rows is what evaluate says of them, and nothing that the twin computes differs. 40 portfolios are
tried in the short form, 1,000 in full.
"""

import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.book import draw
from benchmarks.book_laws import judge, put_through
from kyros_spark.config import SparkSettings
from kyros_spark.spark.java_options import LATE_COMPILER
from kyros_spark.spark.session import get_session

FOLDER = Path("build/bench/books").resolve()
SEEDS = {True: 40, False: 1000}
SHOWN = 10  # differences of one portfolio


def main(short=False, seeds=None):
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    spark = _session()
    result = {"portfolios": 0, "rows": 0, "kinds": {}, "stages": {}, "differences": {}}
    kinds, stages, started = Counter(), Counter(), time.perf_counter()
    for seed in seeds or range(SEEDS[short]):
        book = draw(seed, FOLDER / str(seed))
        put_through(spark, book)
        found, ended = judge(book)
        kinds.update(book.kinds)
        stages.update(f"{stage} {how}" for (stage, _), how in ended.items())
        result["portfolios"] += 1
        result["rows"] += sum(map(len, book.raw.values()))
        if found:
            result["differences"][seed] = found
            _say(f"seed {seed}: {len(found)} differences, kept in {book.folder}")
            _say("\n".join(f"    {text}" for text in found[:SHOWN]))
        else:
            shutil.rmtree(book.folder)
        result |= {
            "kinds": dict(kinds),
            "stages": dict(stages),
            "seconds": time.perf_counter() - started,
        }
        (FOLDER / "books.json").write_text(json.dumps(result, indent=1))
    _say(
        f"{result['portfolios']} portfolios, {result['rows']:,} records, "
        f"{len(result['differences'])} with a difference"
    )
    _say(", ".join(f"{how}: {count}" for how, count in sorted(stages.items())))
    assert not result["differences"], f"seeds that differ: {sorted(result['differences'])}"


def _session():
    """Return one session for all portfolios, which are small."""
    few = {
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
        "spark.python.worker.idleTimeoutSeconds": "600",
        # No two portfolios share a plan: code made for one would be compiled for a few rows.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.defaultJavaOptions": LATE_COMPILER,
    }
    return get_session(SparkSettings(driver_memory="2g", conf=few))


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
