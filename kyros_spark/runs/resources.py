"""Measure what a run took: seconds by kind, bytes, how busy the cores were.

Spark keeps these numbers for its own pages, shown or not; they are asked for once, at a run's end.
A Connect session has none of them: there only the driver's own are told.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.spark import session

# Of Spark's metrics of a query, those that say where a task's time went.
_OF_A_QUERY = {"scan time": "scan", "task commit time": "write_commit"}
_LONG = 300  # ms: shorter queries are not asked for theirs
_DURATION = re.compile(r"^(?:total.*?\n)?([\d.,]+)\s*(ms|s|m|h)\b", re.DOTALL)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_STAGE = {
    "tasks": ("executorRunTime", 1e-3), "gc": ("jvmGcTime", 1e-3),
    "shuffle_wait": ("shuffleFetchWaitTime", 1e-3), "bytes_read": ("inputBytes", 1.0),
    "bytes_written": ("outputBytes", 1.0), "bytes_shuffled": ("shuffleWriteBytes", 1.0),
    "bytes_spilled": ("diskBytesSpilled", 1.0),
}  # fmt: skip


class Meter:
    """What was taken since it was made."""

    def __init__(self, spark: SparkSession) -> None:
        """Begin to measure."""
        self._spark = spark
        self._start, self._cpu = time.perf_counter(), environment.cpu_seconds()
        self._store = _Store(spark) if session.can_broadcast(spark) else None
        self._before = self._store.newest() if self._store is not None else (-1, -1, -1)

    def read(self, rows: int, python: dict[str, float] | None = None) -> dict[str, float]:
        """Return what was taken so far.

        rows: those that were worked on.
        python: seconds by kind that workers told of themselves.

        Seconds of wall: ``wall``, ``in_jobs`` (while a job ran), ``no_job`` (planning, commits,
        waiting for the store); seconds added up over tasks: ``tasks`` and what it holds;
        ``processor``: seconds of the processors, of this host's processes of the application.
        """
        wall = time.perf_counter() - self._start
        told: dict[str, float] = {"wall": wall, **session.start_seconds()}
        if rows:
            told["rows_per_second"] = rows / max(wall, 1e-3)
        spent = environment.cpu_seconds() - self._cpu
        if spent > 0:
            told["processor"] = spent
            told["utilisation"] = spent / max(wall, 1e-3) / (os.cpu_count() or 1)
        if self._store is not None:
            told |= self._store.since(self._before)
            told["in_jobs"] = min(told["in_jobs"], wall)
            told["no_job"] = wall - told["in_jobs"]
            slots = session.task_slots(self._spark)
            told["slots_busy"] = told["tasks"] / max(wall, 1e-3) / slots
        told |= python or {}
        return {name: round(value, 4) for name, value in told.items()}


class _Store:
    """Spark's own record of jobs, stages and queries."""

    def __init__(self, spark: SparkSession) -> None:
        classic: Any = spark
        jvm, context = classic._jvm, classic._jsc.sc()
        self._bus, self._jobs = context.listenerBus(), context.statusStore()
        self._queries = classic._jsparkSession.sharedState().statusStore()
        self._no_quantiles = classic.sparkContext._gateway.new_array(jvm.double, 0)
        self._no_tasks = jvm.java.util.ArrayList()
        scala = getattr(jvm.com.fasterxml.jackson.module.scala, "DefaultScalaModule$")
        self._json = jvm.com.fasterxml.jackson.databind.ObjectMapper()
        self._json.registerModule(getattr(scala, "MODULE$"))

    def newest(self) -> tuple[int, int, int]:
        """Return the numbers of the newest job, stage and query."""
        jobs, stages = self._jobs.jobsList(None), self._stages()
        job = int(jobs.head().jobId()) if jobs.nonEmpty() else -1
        stage = int(stages.head().stageId()) if stages.nonEmpty() else -1
        count = int(self._queries.executionsCount())
        last = self._queries.executionsList(count - 1, 1) if count else None
        return job, stage, int(last.head().executionId()) if last is not None else -1

    def since(self, before: tuple[int, int, int]) -> dict[str, float]:
        """Return sums over what came after."""
        self._bus.waitUntilEmpty()
        now = self.newest()
        jobs = self._told(self._jobs.jobsList(None).take(now[0] - before[0]))
        # An attempt more of a stage is an entry more: take some above, then look at the numbers.
        stages = self._told(self._stages().take(2 * (now[1] - before[1])))
        mine = [one for one in stages if one["stageId"] > before[1]]
        told = {
            name: sum(float(one.get(of) or 0) for one in mine) * unit
            for name, (of, unit) in _STAGE.items()
        }
        return {"in_jobs": _covered(jobs), **told, **self._of_queries(now[2] - before[2])}

    def _of_queries(self, newest: int) -> dict[str, float]:
        told: dict[str, float] = {}
        count = int(self._queries.executionsCount())  # Spark forgets the oldest
        newest = min(newest, count)
        if newest == 0:
            return told
        found = self._queries.executionsList(count - newest, newest)
        for number in range(found.size()):
            query = found.apply(number)
            ended = query.completionTime()
            if ended.isEmpty() or ended.get().getTime() - query.submissionTime() < _LONG:
                continue
            values = self._told(self._queries.executionMetrics(query.executionId()))
            for one in self._told(query.metrics()):
                name = _OF_A_QUERY.get(one["name"])
                if name is not None:
                    value = values.get(str(one["accumulatorId"]), "")
                    told[name] = told.get(name, 0.0) + seconds_in(value)
        return told

    def _stages(self) -> Any:
        """Return the stages that Spark remembers, the newest first."""
        return self._jobs.stageList(None, False, False, self._no_quantiles, self._no_tasks)

    def _told(self, value: Any) -> Any:
        return json.loads(self._json.writeValueAsString(value))


def summary(told: dict[str, float]) -> str:
    """Return what was taken as one line for the screen."""
    parts = [f"{told['wall']:,.1f} s"]
    if "rows_per_second" in told:
        parts.append(f"{told['rows_per_second']:,.0f} rows a second")
    if "in_jobs" in told:
        parts.append(f"{told['in_jobs']:,.1f} s in jobs, {told['no_job']:,.1f} s without one")
        parts.append(f"task slots {told['slots_busy']:.0%} busy")
    if "utilisation" in told:
        parts.append(f"cores {told['utilisation']:.0%}")
    if "kernel" in told:
        names = ("exchange", "conversion", "quantise", "kernel")
        parts.append("in Python " + ", ".join(f"{n} {told[n]:,.1f} s" for n in names))
    if "bytes_read" in told:
        read, written = told["bytes_read"] / 2**20, told["bytes_written"] / 2**20
        parts.append(f"{read:,.0f} MiB read, {written:,.0f} MiB written")
    return "; ".join(parts)


def seconds_in(told: str) -> float:
    """Return the seconds of a metric as Spark words it, such as "total (min, ...)\n1.2 s (...)"."""
    found = _DURATION.match(told)
    return float(found[1].replace(",", "")) * _UNITS[found[2]] if found else 0.0


def _covered(jobs: Iterable[dict[str, Any]]) -> float:
    """Return the seconds in which at least one job ran."""
    spans = sorted(
        (one["submissionTime"], one["completionTime"])
        for one in jobs
        if one.get("submissionTime") and one.get("completionTime")
    )
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total / 1000
