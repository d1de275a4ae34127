"""plan: show what a run would do, with which settings, and estimate what it would take."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark import environment
from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.operations.status import Standing, status
from kyros_spark.runs.micro_batches import rows_per_micro_batch
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.spark.session import application
from kyros_spark.stages.graph import training_batches
from kyros_spark.stages.pipeline import default_stages

_LAST = 5  # runs of a stage that its speed is taken from


@dataclass(frozen=True)
class PlannedStep:
    """One step that a run would do, with estimates; None where nothing is known.

    rows: those of the batch by its clean run, else those of the last batch that was cleaned.
    seconds: at the median speed of the stage's last runs on this portfolio.
    cost: in the settings' currency.
    """

    stage: str
    batch: str
    state: str
    rows: int | None
    micro_batches: int | None
    seconds: float | None
    cost: float | None


@dataclass(frozen=True)
class Plan:
    """The machine, the settings that bound memory, and the steps."""

    machine: dict[str, Any]
    bounds: dict[str, Any]
    steps: tuple[PlannedStep, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line has it."""
        return asdict(self)


def plan(
    spark: SparkSession,
    config: Config,
    batches: Sequence[str] = (),
    stages: Sequence[str] | None = None,
) -> Plan:
    """Return what `run` would do on this machine, and estimates from the ledger.

    stages: as those of `run`.

    Raises:
        UsageError: no batches are known, or a stage is not one of a pipeline.
    """
    portfolio = Portfolio(spark, config)
    speeds = _speeds(portfolio.tables)
    asked = default_stages(config) if stages is None else stages
    steps = tuple(
        _step(portfolio, standing, speeds)
        for standing in status(spark, config, batches, asked)
        if standing.state != "current"
    )
    return Plan(_machine(spark), _bounds(spark, config), steps)


def lines(planned: Plan, config: Config) -> list[str]:
    """Return the plan as a person reads it."""
    text = [", ".join(f"{name} {value}" for name, value in planned.machine.items())]
    text += [f"{name}: {value}" for name, value in planned.bounds.items()]
    if not planned.steps:
        return [*text, "nothing to do: all is current"]
    head = (
        f"{'stage':<10}{'batch':<14}{'state':<12}{'rows':>14}{'micro-batches':>15}{'seconds':>10}"
    )
    text.append(head)
    for step in planned.steps:
        numbers = (
            f"{_shown(step.rows):>14}{_shown(step.micro_batches):>15}{_shown(step.seconds):>10}"
        )
        text.append(f"{step.stage:<10}{step.batch:<14}{step.state:<12}{numbers}")
    seconds = [step.seconds for step in planned.steps if step.seconds is not None]
    missing = len(planned.steps) - len(seconds)
    total = f"about {sum(seconds):,.0f} s"
    costs = [step.cost for step in planned.steps if step.cost is not None]
    total += f", {sum(costs):,.2f} {config.plan.currency}".rstrip() if costs else ""
    total += f", and {missing} steps of which no run is known" if missing else ""
    return [*text, total]


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _step(portfolio: Portfolio, standing: Standing, speeds: Mapping[str, float]) -> PlannedStep:
    rows = _rows(portfolio, standing)
    speed = speeds.get(standing.stage)
    seconds = round(rows / speed, 1) if rows is not None and speed else None
    price = portfolio.config.plan.price_per_hour
    cost = round(seconds / 3600 * price, 4) if seconds is not None and price is not None else None
    most = rows_per_micro_batch(portfolio.config, standing.stage, standing.batch)
    parts = max(math.ceil(rows / most), 1) if most and rows is not None else None
    return PlannedStep(standing.stage, standing.batch, standing.state, rows, parts, seconds, cost)


def _rows(portfolio: Portfolio, standing: Standing) -> int | None:
    train = standing.stage == "train"
    batches = training_batches(portfolio.config) if train else (standing.batch,)
    counts = [count for batch in batches if (count := _cleaned(portfolio, batch)) is not None]
    return sum(counts) if len(counts) == len(batches) else None


def _cleaned(portfolio: Portfolio, batch: str) -> int | None:
    """Return the clean policies of the batch, or of the last batch that was cleaned."""
    for cleaned_batch in (batch, *reversed(portfolio.config.batches)):
        last_run = portfolio.ledger.last_run("clean", cleaned_batch)
        if last_run is not None:
            return int(last_run.details["policies"]["rows_out"])
    return None


def _speeds(tables: DeltaTables) -> dict[str, float]:
    """Return each stage's policies per second: the median of its last runs that did work."""
    ledger = tables.find("runs")
    if ledger is None:
        return {}
    done = ledger.where("status = 'done' AND seconds > 0 AND rows_in > 0").select(
        "stage", "started_at", (F.col("rows_in") / F.col("seconds")).alias("speed")
    )
    by_stage: dict[str, list[tuple[Any, float]]] = {}
    for row in done.collect():
        by_stage.setdefault(row["stage"], []).append((row["started_at"], row["speed"]))
    speeds = {}
    for stage, runs in by_stage.items():
        last = sorted(speed for _, speed in sorted(runs)[-_LAST:])
        speeds[stage] = last[len(last) // 2]
    return speeds


def _machine(spark: SparkSession) -> dict[str, Any]:
    facts = application(spark)
    return {
        "Spark": facts["spark"], "master": facts["master"], "cores": os.cpu_count(),
        "memory_mib": environment.machine_memory_mib(),
    }  # fmt: skip


def _bounds(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Return the settings that bound a run's memory, whatever the number of rows."""
    return {
        "driver memory": spark.conf.get("spark.driver.memory", config.spark.driver_memory),
        "rows an Arrow batch": config.predict.rows_per_arrow_batch,
        "rows a micro-batch": config.predict.rows_per_micro_batch,
        "rows a micro-batch of prepare": config.prepare.rows_per_micro_batch,
        "rows a file": config.tables.rows_per_file,
        "shuffle partitions": spark.conf.get("spark.sql.shuffle.partitions", "200"),
    }
