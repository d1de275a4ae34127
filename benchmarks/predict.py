"""Predict from Delta to Delta: this package's ways beside the libraries' models in pandas UDFs.

Every path reads the same version of the same table and writes a Delta table, in one session with
the same settings; the paths take turns. CPU seconds are those of driver, JVM and Python workers
together, the better turn's. Beside the speed stands the largest relative difference of a prediction
from the package's own. Kyros writes the whole table `predictions` (hash of the inputs, interval,
provenance); the others write key, exposure and prediction.
"""

import json
import sys
import threading
import time
from dataclasses import asdict

from pyspark.sql import functions as F

from benchmarks.engine import BUILD, _machine, _say
from benchmarks.predict_paths import PEERS, NoPath
from benchmarks.predict_portfolio import BATCH, Size, made
from benchmarks.process_tree import mib
from kyros_spark import predict
from kyros_spark.config import load_config
from kyros_spark.environment import cpu_seconds
from kyros_spark.spark.session import get_session

FOLDER = BUILD / "predict"
SIZES = {
    True: (Size(200_000, trees=100),),
    False: (
        Size(1_000_000), Size(10_000_000), Size(1_000_000, features=10),
        Size(1_000_000, features=200), Size(1_000_000, precision="float"),
        Size(1_000_000, texts=10),
    ),
}  # fmt: skip
TURNS = {True: 1, False: 2}
# Settings of the package's own paths. As before there was a choice: Spark reads, or one process.
OWN = {
    "kyros by files": ["predict.read=direct"],
    "kyros by Spark": ["predict.read=spark", "spark.local_rows=0"],
    "kyros in one process": ["predict.read=spark"],
    "kyros by files, XGBoost": ["predict.read=direct", "predict.models=[xgboosted]"],
}
SPENT = ("read_files", "exchange", "conversion", "quantise", "kernel", "write_files")


def main(short=False, sizes=None, turns=None, paths=None):
    """Measure every size; write and show it. paths: names of those to measure, all by default."""
    report = {"machine": _machine(), "sizes": []}
    for size in sizes or SIZES[short]:
        settings = made(size, FOLDER)
        records = _measured(size, settings, turns or TURNS[short], paths or [*PEERS, *OWN])
        report["sizes"].append({"size": asdict(size), "paths": records})
        _say(table(size, records))
        (BUILD / "predict.json").write_text(json.dumps(report, indent=1))
    _say(f"raw numbers: {BUILD / 'predict.json'}")


def _measured(size, settings, turns, paths):
    """Let the paths take turns; return the better turn of each."""
    spark = get_session(load_config(str(settings)).spark)
    best = {}
    for turn in range(turns):
        for name in paths:
            try:
                run = _own(settings, name, turn) if name in OWN else PEERS[name]
                record = _turn(run, spark, settings.parent)
            except NoPath as reason:
                record = {"cannot": str(reason), "processor": float("inf")}
            _say(f"{size.name}, turn {turn + 1}, {name}: {record['processor']:.1f} CPU s")
            if record["processor"] <= best.get(name, record)["processor"]:
                best[name] = record
    for name, record in best.items():
        if "cannot" not in record:
            record["rows_per_second"] = size.rows / record["seconds"]
            record["cpu_seconds_per_million"] = record["processor"] / size.rows * 1e6
            model = "xgboosted" if "XGBoost" in name else "boosted"
            record["off"] = _difference(spark, settings.parent, record["written"], model)
    return [{"path": name, **record} for name, record in best.items()]


def _own(settings, name, turn):
    """Return what runs the package itself; each turn changes a setting, so that it works again."""

    def run(spark, folder):
        batch_rows = f"predict.rows_per_arrow_batch={20_000 + time.time_ns() % 1_000}"
        config = load_config(str(settings), [*OWN[name], batch_rows])
        done = predict(spark, config, batch=BATCH)
        assert done.status == "done", done.status
        spent = {kind: done.resources.get(kind, 0.0) for kind in SPENT}
        return str(folder / "tables/predictions"), spent | {"read": done.details.get("read")}

    return run


def _turn(run, spark, folder):
    peak = _Peak()
    start, before = time.perf_counter(), cpu_seconds()
    with peak:
        written, parts = run(spark, folder)
    return {
        "seconds": time.perf_counter() - start, "processor": cpu_seconds() - before,
        "mib": peak.mib, "written": written, "parts": parts,
    }  # fmt: skip


class _Peak:
    """Watches the memory of this process's children while a block runs."""

    def __enter__(self):
        self.mib, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._watch.join()

    def _look(self):
        while not self._over.wait(0.5):
            self.mib = max(self.mib, mib())


def _difference(spark, folder, written, model):
    """Return the largest relative difference from the package's predictions, row by row."""
    own = spark.read.format("delta").load(str(folder / "tables/predictions"))
    theirs = spark.read.format("delta").load(written)
    if "model_name" in theirs.columns:
        theirs = theirs.where(F.col("model_name") == model)
    own = own.where(F.col("model_name") == model).selectExpr("policy_id", "prediction own")
    pairs = own.join(theirs.select("policy_id", "prediction"), "policy_id")
    row = pairs.selectExpr("max(abs(prediction / own - 1)) off", "count(*) rows").first()
    assert row["rows"] == own.count(), f"{written}: {row['rows']} rows"
    return row["off"]


def table(size, records):
    """Return one size's lines: seconds, CPU, and how many times the files' path is."""
    lines = [f"\n{size.name}, LightGBM {size.trees} x {size.leaves} leaves"]
    cpu = {r["path"]: r["processor"] for r in records if "cannot" not in r}
    own = cpu.get("kyros by files", float("nan"))
    for record in records:
        if "cannot" in record:
            lines.append(f"  {record['path']:<24} -  ({record['cannot']})")
            continue
        lines.append(
            f"  {record['path']:<24}{record['seconds']:>8.1f} s"
            f"{record['cpu_seconds_per_million']:>8.2f} CPU s a million rows"
            f"{record['processor'] / own:>7.1f} x by files{record['mib']:>8,.0f} MiB"
            f"   off {record['off']:.1e}"
        )
        if record["parts"]:
            kinds = (f"{kind} {record['parts'][kind]:.1f}" for kind in SPENT)
            lines.append(f"      seconds of its tasks: {', '.join(kinds)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sizes=[Size(int(rows)) for rows in sys.argv[1:]])
