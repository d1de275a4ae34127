"""benchmark: time one stage alone, on pinned versions of its inputs, beside earlier benchmarks.

The stage runs in a folder of its own on shallow clones, so that nothing of the portfolio changes
and nothing is copied. The folder is removed afterwards. The result becomes a row of `runs`.
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
from kyros_spark.runs.execute import execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.resources import summary
from kyros_spark.runs.run import LastRun, Run, new_run_id
from kyros_spark.stages.graph import STAGE_INPUTS, StageInput, training_batches
from kyros_spark.stages.pipeline import STAGES, steps_of
from kyros_spark.storage.files import remove_folder
from kyros_spark.tables.ddl import batch_is, quoted

_READ_CHAMPIONS = ("prepare", "predict")  # stages that read the registry
_BUCKETS = 1_000_000


@dataclass(frozen=True)
class Benchmark:
    """The seconds of a stage on so many rows, run after run, and those of earlier benchmarks.

    earlier: (time, code version, median seconds), the newest first.
    """

    stage: str
    batch: str
    rows: int
    seconds: tuple[float, ...]
    resources: Mapping[str, float]
    earlier: tuple[tuple[str, str, float], ...]

    @property
    def middle(self) -> float:
        """Return the median of the seconds without the first time, which warms Spark up."""
        return round(median(self.seconds[1:] or self.seconds), 3)

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it."""
        return {
            "batch": self.batch, "rows": self.rows, "seconds_each": list(self.seconds),
            "seconds_first": self.seconds[0], "seconds": self.middle,
            "resources": dict(self.resources),
            "earlier": [list(benchmark) for benchmark in self.earlier],
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
    if stage not in STAGES:
        raise UsageError(f"benchmark: expected one of {', '.join(STAGES)}, found '{stage}'")
    if rows is not None and (rows < 1 or stage == "clean"):
        raise UsageError(
            f"benchmark {stage} --rows {rows}: expected a number of rows of a table; clean reads "
            "a whole extract, give it a smaller one"
        )
    portfolio = Portfolio(spark, config)
    label = batch_of("benchmark", batch, config)
    run = Run("benchmark", label, new_run_id())
    scratch = f"{config.tables.artefact_folder()}/benchmark-{run.run_id}"
    timed: list[Run] = []
    with _removed(spark, scratch):
        tables = config.tables.model_copy(
            update={"base": scratch, "catalog": None, "artefacts": None}
        )
        twin = config.model_copy(update={"tables": tables})
        sources, counts = {}, {}
        if STAGE_INPUTS[stage]:
            sources = _cloned(portfolio, Portfolio(spark, twin), stage, label)
            counts = _drawn(Portfolio(spark, twin), stage, label, rows)
        for number in range(1, repeat + 1):
            if not STAGE_INPUTS[stage]:
                remove_folder(spark, scratch)
                twin = _elsewhere(twin, f"{scratch}/{number}")
            timed.append(_once(Portfolio(spark, twin), stage, label, sources, counts))
            event(f"benchmark {stage} {label}, run {number} of {repeat}: {timed[-1].seconds:.1f} s")
    result = _result(portfolio, stage, label, timed)
    _record(portfolio, run, result, timed, sources)
    return result


def lines(result: Benchmark) -> list[str]:
    """Return the result as text, one line per run or earlier benchmark."""
    first, *later = (f"{seconds:.1f}" for seconds in result.seconds)
    times = f"first {first} s" + (f", then {', '.join(later)} s" if later else "")
    middle = f"; median of the later ones {result.middle:.1f} s" if later else ""
    title = f"{result.stage} {result.batch}, {result.rows:,} rows"
    text = [f"{title}: {times}{middle}", summary(dict(result.resources))]
    for time, code, earlier in result.earlier:
        ratio = result.middle / earlier if earlier else float("nan")
        text.append(f"{time}, version {code}: {earlier:.1f} s; now {ratio:.2f} times that")
    return text if result.earlier else [*text, "no earlier benchmark of this stage and size"]


@contextmanager
def _removed(spark: SparkSession, folder: str) -> Iterator[None]:
    try:
        yield
    finally:
        remove_folder(spark, folder)


def _elsewhere(config: Config, base: str) -> Config:
    return config.model_copy(update={"tables": config.tables.model_copy(update={"base": base})})


def _source(stage: str) -> StageInput:
    """Return the tables that the stage works on; its registered models come beside them."""
    return STAGE_INPUTS[stage][0]


def _batches(portfolio: Portfolio, stage: str, label: str) -> Sequence[str]:
    return training_batches(portfolio.config) if stage == "train" else [label]


def _cloned(portfolio: Portfolio, twin: Portfolio, stage: str, label: str) -> dict[str, LastRun]:
    """Clone what the stage reads into the twin; return the runs that wrote it, by batch."""
    source = _source(stage)
    writers = {
        batch: portfolio.last_run(source.stage, batch, stage)
        for batch in _batches(portfolio, stage, label)
    }
    versions: dict[str, int] = {}
    for last_run in writers.values():
        for name in source.tables:
            if name in last_run.outputs:
                versions[name] = max(versions.get(name, 0), last_run.outputs[name])
    registry = portfolio.tables.version("models") if stage in _READ_CHAMPIONS else None
    if registry is not None:
        versions["models"] = registry
    for name, version in versions.items():
        twin.tables.clone(name, portfolio.tables.reference(name), version)
    return writers


def _drawn(twin: Portfolio, stage: str, label: str, rows: int | None) -> dict[str, int]:
    """Leave about so many rows of the stage's main table; return the rows of each batch."""
    name = _source(stage).tables[0]
    key = ", ".join(map(quoted, twin.config.sources.policies.key))
    counts = {}
    for batch in _batches(twin, stage, label):
        count = twin.tables.read(name, batches=[batch]).count()
        if rows is not None and rows < count:
            share = int(rows / count * _BUCKETS)
            bucket = f"pmod(xxhash64({key}), {_BUCKETS})"
            twin.tables.delete(name, f"{batch_is(batch)} AND {bucket} >= {share}")
            count = twin.tables.read(name, batches=[batch]).count()
        counts[batch] = count
    return counts


def _once(
    twin: Portfolio,
    stage: str,
    label: str,
    sources: Mapping[str, LastRun],
    counts: Mapping[str, int],
) -> Run:
    """Run the stage; it does not skip, since each time another run has written what it reads."""
    for batch, last_run in sources.items():
        source = _source(stage)
        seed = Run(source.stage, batch, new_run_id(), status="done", details=last_run.details)
        for name in source.tables:
            version = twin.tables.version(name)
            if version is not None:
                seed.outputs[name] = Written(twin.tables.location(name), version, counts[batch])
        seed.rows_out = counts[batch]
        twin.ledger.record(seed)
    (step,) = [s for s in steps_of(twin.config, [label], [stage]) if s.stage == stage]
    return execute(step.work(twin))


def _result(portfolio: Portfolio, stage: str, label: str, timed: Sequence[Run]) -> Benchmark:
    rows, seconds = timed[-1].rows_in, tuple(run.seconds for run in timed)
    later = timed[1:] or timed
    middle = sorted(later, key=lambda run: run.seconds)[len(later) // 2]
    earlier = []
    ledger = portfolio.tables.find("runs")
    if ledger is not None:
        same = ledger.where((F.col("stage") == "benchmark") & (F.col("batch_id") == label))
        for row in same.select("started_at", "code_version", "details").collect():
            details = json.loads(row["details"])
            if (details["stage"], details["rows"]) == (stage, rows):
                started = f"{row['started_at']:%Y-%m-%d %H:%M}"
                earlier.append((started, row["code_version"], float(details["seconds"])))
    last = tuple(sorted(earlier, reverse=True)[:5])
    return Benchmark(stage, label, rows, seconds, middle.resources, last)


def _record(
    portfolio: Portfolio,
    run: Run,
    result: Benchmark,
    timed: Sequence[Run],
    sources: Mapping[str, LastRun],
) -> None:
    run.status, run.rows_in, run.rows_out = "done", result.rows, timed[-1].rows_out
    run.resources = dict(result.resources)
    run.inputs = {
        f"{name} {batch}": str(version)
        for batch, last_run in sources.items()
        for name, version in last_run.outputs.items()
    }
    run.details = {"stage": result.stage, "rows": result.rows, "seconds": result.middle,
                   "seconds_each": list(result.seconds)}  # fmt: skip
    portfolio.ledger.record(run)
    portfolio.tables.release()
