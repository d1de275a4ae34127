"""benchmark: one stage alone, on pinned versions of what it reads, beside what the ledger tells.

The stage runs in a folder of its own on shallow clones, so that nothing of the portfolio changes
and nothing is copied, and is removed afterwards. What it took becomes a row of `runs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta.tables import Written
from kyros_spark.errors import UsageError
from kyros_spark.log import event
from kyros_spark.runs.portfolio import (
    Portfolio,
    start,
)
from kyros_spark.runs.resources import summary
from kyros_spark.runs.run import LastRun, Run, new_run_id
from kyros_spark.stages.pipeline import steps_of
from kyros_spark.storage.files import remove_folder
from kyros_spark.tables.ddl import batch_is, quoted

# What each stage reads: the stage before it, the table whose rows are counted, and the others.
_READS: dict[str, tuple[str, tuple[str, ...]] | None] = {
    "clean": None,
    "prepare": ("clean", ("policies", "claims")),
    "train": ("prepare", ("prepared", "feature_log")),
    "predict": ("prepare", ("prepared", "feature_log")),
}
_NEEDS_MODELS = ("prepare", "predict")
_BUCKETS = 1_000_000


@dataclass(frozen=True)
class Benchmark:
    """What a stage took on so many rows, run after run, and what earlier benchmarks of it took.

    earlier: (when, code version, seconds of the middle run), the newest first.
    """

    stage: str
    batch: str
    rows: int
    seconds: tuple[float, ...]
    resources: Mapping[str, float]
    earlier: tuple[tuple[str, str, float], ...]

    @property
    def middle(self) -> float:
        """Return the median of the seconds."""
        return round(median(self.seconds), 3)

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line tells it."""
        return {
            "batch": self.batch, "rows": self.rows, "seconds_each": list(self.seconds),
            "seconds": self.middle, "resources": dict(self.resources),
            "earlier": [list(one) for one in self.earlier],
        }  # fmt: skip


def benchmark(
    spark: SparkSession,
    config: Config,
    stage: str,
    batch: str | None = None,
    rows: int | None = None,
    repeat: int = 3,
) -> Benchmark:
    """Run one stage alone on the versions that its last run would read now.

    rows: about so many of the batch, drawn by hash of the key; default all. Not for clean, which
    reads an extract whole.

    Raises:
        UsageError: ``stage`` is none of the four, or rows cannot be drawn.
        BatchMissingError: what the stage reads has not been written.
    """
    if stage not in _READS:
        raise UsageError(f"benchmark: expected one of {', '.join(_READS)}, found '{stage}'")
    if rows is not None and (rows < 1 or stage == "clean"):
        raise UsageError(
            f"benchmark {stage} --rows {rows}: expected a number of rows of a table; clean reads "
            "a whole extract, give it a smaller one"
        )
    portfolio = Portfolio(spark, config)
    label = start("benchmark", batch, config, None).batch
    run = Run("benchmark", label, new_run_id())
    scratch = f"{config.tables.artefact_folder()}/benchmark-{run.run_id}"
    done: list[Run] = []
    with _removed(spark, scratch):
        tables = config.tables.model_copy(
            update={"base": scratch, "catalog": None, "artefacts": None}
        )
        twin = config.model_copy(update={"tables": tables})
        sources = (
            {} if stage == "clean" else _cloned(portfolio, Portfolio(spark, twin), stage, label)
        )
        counts = _drawn(Portfolio(spark, twin), stage, label, rows) if sources else {}
        for number in range(1, repeat + 1):
            if stage == "clean":
                remove_folder(spark, scratch)
                twin = _elsewhere(twin, f"{scratch}/{number}")
            done.append(_once(Portfolio(spark, twin), stage, label, sources, counts))
            event(f"benchmark {stage} {label}, run {number} of {repeat}: {done[-1].seconds:.1f} s")
    found = _found(portfolio, stage, label, done)
    _record(portfolio, run, found, done, sources)
    return found


def lines(found: Benchmark) -> list[str]:
    """Return it as a person reads it."""
    each = ", ".join(f"{seconds:.1f}" for seconds in found.seconds)
    told = [f"{found.stage} {found.batch}, {found.rows:,} rows: {each} s; {found.middle:.1f} s"]
    told.append(summary(dict(found.resources)))
    for at, code, seconds in found.earlier:
        ratio = found.middle / seconds if seconds else float("nan")
        told.append(f"{at}, version {code}: {seconds:.1f} s; now {ratio:.2f} times that")
    return told if found.earlier else [*told, "no earlier benchmark of this stage and size"]


@contextmanager
def _removed(spark: SparkSession, folder: str) -> Iterator[None]:
    try:
        yield
    finally:
        remove_folder(spark, folder)


def _elsewhere(config: Config, base: str) -> Config:
    return config.model_copy(update={"tables": config.tables.model_copy(update={"base": base})})


def _batches(portfolio: Portfolio, stage: str, label: str) -> Sequence[str]:
    train = portfolio.config.train
    return train.batches if stage == "train" and train is not None else [label]


def _cloned(portfolio: Portfolio, twin: Portfolio, stage: str, label: str) -> dict[str, LastRun]:
    """Clone what the stage reads into the twin; return the runs that wrote it, by batch."""
    reads = _READS[stage]
    assert reads is not None
    earlier, names = reads
    found = {b: portfolio.done(earlier, b, stage) for b in _batches(portfolio, stage, label)}
    versions: dict[str, int] = {}
    for done in found.values():
        for name in names:
            if name in done.outputs:
                versions[name] = max(versions.get(name, 0), done.outputs[name])
    registry = portfolio.tables.version("models") if stage in _NEEDS_MODELS else None
    if registry is not None:
        versions["models"] = registry
    for name, version in versions.items():
        twin.tables.clone(name, portfolio.tables.reference(name), version)
    return found


def _drawn(twin: Portfolio, stage: str, label: str, rows: int | None) -> dict[str, int]:
    """Leave about so many rows of the counted table; return how many each batch has."""
    reads = _READS[stage]
    assert reads is not None
    name, key = reads[1][0], ", ".join(map(quoted, twin.config.sources.policies.key))
    counts = {}
    for batch in _batches(twin, stage, label):
        held = twin.tables.read(name, batches=[batch]).count()
        if rows is not None and rows < held:
            share = int(rows / held * _BUCKETS)
            bucket = f"pmod(xxhash64({key}), {_BUCKETS})"
            twin.tables.delete(name, f"{batch_is(batch)} AND {bucket} >= {share}")
            held = twin.tables.read(name, batches=[batch]).count()
        counts[batch] = held
    return counts


def _once(
    twin: Portfolio,
    stage: str,
    label: str,
    sources: Mapping[str, LastRun],
    counts: Mapping[str, int],
) -> Run:
    """Run the stage; it does not skip, since each time another run has written what it reads."""
    for batch, done in sources.items():
        reads = _READS[stage]
        assert reads is not None
        seed = Run(reads[0], batch, new_run_id(), status="done", details=done.details)
        for name in reads[1]:
            version = twin.tables.version(name)
            if version is not None:
                seed.outputs[name] = Written(twin.tables.location(name), version, counts[batch])
        seed.rows_out = counts[batch]
        twin.ledger.record(seed)
    ((_, _, work),) = [step for step in steps_of(twin.config, [label], [stage]) if step[0] == stage]
    return work(twin)


def _found(portfolio: Portfolio, stage: str, label: str, done: Sequence[Run]) -> Benchmark:
    rows, seconds = done[-1].rows_in, tuple(run.seconds for run in done)
    middle = sorted(done, key=lambda run: run.seconds)[len(done) // 2]
    earlier = []
    ledger = portfolio.tables.find("runs")
    if ledger is not None:
        same = ledger.where((F.col("stage") == "benchmark") & (F.col("batch_id") == label))
        for row in same.select("started_at", "code_version", "details").collect():
            told = json.loads(row["details"])
            if (told["stage"], told["rows"]) == (stage, rows):
                at = f"{row['started_at']:%Y-%m-%d %H:%M}"
                earlier.append((at, row["code_version"], float(told["seconds"])))
    last = tuple(sorted(earlier, reverse=True)[:5])
    return Benchmark(stage, label, rows, seconds, middle.resources, last)


def _record(
    portfolio: Portfolio,
    run: Run,
    found: Benchmark,
    done: Sequence[Run],
    sources: Mapping[str, LastRun],
) -> None:
    run.status, run.rows_in, run.rows_out = "done", found.rows, done[-1].rows_out
    run.resources = dict(found.resources)
    run.inputs = {
        f"{name} {batch}": str(version)
        for batch, one in sources.items()
        for name, version in one.outputs.items()
    }
    run.details = {"stage": found.stage, "rows": found.rows, "seconds": found.middle,
                   "seconds_each": list(found.seconds)}  # fmt: skip
    portfolio.ledger.record(run)
    portfolio.tables.release()
