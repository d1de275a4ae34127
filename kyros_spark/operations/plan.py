"""plan: what a run would do, with which settings, and what it is likely to take."""

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
from kyros_spark.runs.micro_batches import rows_each
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.spark.session import application

_LAST = 5  # runs of a stage that its speed is taken from


@dataclass(frozen=True)
class Step:
    """One step that a run would do, and what it is likely to take; None where nothing is known.

    rows: those of the batch, by its clean run, or of the last batch that was cleaned.
    seconds: at the middle speed of the stage's last runs on this portfolio.
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
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the result line tells it."""
        return asdict(self)


def plan(spark: SparkSession, config: Config, batches: Sequence[str] = ()) -> Plan:
    """Return what `run` would do on this machine, and estimates from the ledger.

    Raises:
        UsageError: no batches are known.
    """
    portfolio = Portfolio(spark, config, only_asking=True)
    speeds = _speeds(portfolio.tables)
    steps = tuple(
        _step(portfolio, one, speeds)
        for one in status(spark, config, batches)
        if one.state != "current"
    )
    return Plan(_machine(spark), _bounds(spark, config), steps)


def lines(planned: Plan, config: Config) -> list[str]:
    """Return the plan as a person reads it."""
    told = [", ".join(f"{name} {value}" for name, value in planned.machine.items())]
    told += [f"{name}: {value}" for name, value in planned.bounds.items()]
    if not planned.steps:
        return [*told, "nothing to do: all is current"]
    head = (
        f"{'stage':<10}{'batch':<14}{'state':<12}{'rows':>14}{'micro-batches':>15}{'seconds':>10}"
    )
    told.append(head)
    for one in planned.steps:
        numbers = f"{_shown(one.rows):>14}{_shown(one.micro_batches):>15}{_shown(one.seconds):>10}"
        told.append(f"{one.stage:<10}{one.batch:<14}{one.state:<12}{numbers}")
    known = [one.seconds for one in planned.steps if one.seconds is not None]
    missing = len(planned.steps) - len(known)
    total = f"about {sum(known):,.0f} s"
    costs = [one.cost for one in planned.steps if one.cost is not None]
    total += f", {sum(costs):,.2f} {config.plan.currency}".rstrip() if costs else ""
    total += f", and {missing} steps of which no run is known" if missing else ""
    return [*told, total]


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _step(portfolio: Portfolio, one: Standing, speeds: Mapping[str, float]) -> Step:
    rows = _rows(portfolio, one)
    speed = speeds.get(one.stage)
    seconds = round(rows / speed, 1) if rows is not None and speed else None
    price = portfolio.config.plan.price_per_hour
    cost = round(seconds / 3600 * price, 4) if seconds is not None and price is not None else None
    most = rows_each(portfolio.config, one.stage, one.batch)
    parts = max(math.ceil(rows / most), 1) if most and rows is not None else None
    return Step(one.stage, one.batch, one.state, rows, parts, seconds, cost)


def _rows(portfolio: Portfolio, one: Standing) -> int | None:
    batches = one.batch.split("+") if one.stage == "train" else [one.batch]
    known = [_cleaned(portfolio, batch) for batch in batches]
    counts = [count for count in known if count is not None]
    return sum(counts) if len(counts) == len(known) else None


def _cleaned(portfolio: Portfolio, batch: str) -> int | None:
    done = portfolio.ledger.last_done("clean", batch)
    others = [portfolio.ledger.last_done("clean", b) for b in reversed(portfolio.config.batches)]
    for found in (done, *others):
        if found is not None:
            return int(found.details["policies"]["rows_out"])
    return None


def _speeds(tables: DeltaTables) -> dict[str, float]:
    """Return policies a second of each stage: the median of its last runs that worked."""
    ledger = tables.find("runs")
    if ledger is None:
        return {}
    done = ledger.where("status = 'done' AND seconds > 0 AND rows_in > 0").select(
        "stage", "started_at", (F.col("rows_in") / F.col("seconds")).alias("speed")
    )
    found: dict[str, list[tuple[Any, float]]] = {}
    for row in done.collect():
        found.setdefault(row["stage"], []).append((row["started_at"], row["speed"]))
    speeds = {}
    for stage, runs in found.items():
        last = sorted(speed for _, speed in sorted(runs)[-_LAST:])
        speeds[stage] = last[len(last) // 2]
    return speeds


def _machine(spark: SparkSession) -> dict[str, Any]:
    told = application(spark)
    return {
        "Spark": told["spark"], "master": told["master"], "cores": os.cpu_count(),
        "memory_mib": environment.machine_memory_mib(),
    }  # fmt: skip


def _bounds(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Return what bounds the memory of a run, whatever the number of rows."""
    return {
        "driver memory": spark.conf.get("spark.driver.memory", config.spark.driver_memory),
        "rows an Arrow batch": config.predict.rows_per_arrow_batch,
        "rows a micro-batch": config.predict.rows_per_micro_batch,
        "rows a micro-batch of prepare": config.prepare.rows_per_micro_batch,
        "rows a file": config.tables.rows_per_file,
        "shuffle partitions": spark.conf.get("spark.sql.shuffle.partitions", "200"),
    }
