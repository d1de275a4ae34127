"""Measure what a run took: seconds by kind, bytes, how busy the cores were.

Spark keeps these numbers for its own web pages, shown or not. They are read once, at the end of a
run. A Connect session has none of them: there only the driver's own are reported.
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
from kyros_spark.spark.java_class import java_class
from kyros_spark.storage.traffic import bytes_moved

# Spark's metrics of a query that show where a task's time went.
_QUERY_METRICS = {"scan time": "scan", "task commit time": "write_commit"}
_LONG = 300  # ms: the metrics of shorter queries are not read
_DURATION = re.compile(r"^(?:total.*?\n)?([\d.,]+)\s*(ms|s|m|h)\b", re.DOTALL)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_STAGE_METRICS = {
    "tasks": ("executorRunTime", 1e-3), "gc": ("jvmGcTime", 1e-3),
    "shuffle_wait": ("shuffleFetchWaitTime", 1e-3), "bytes_read": ("inputBytes", 1.0),
    "bytes_written": ("outputBytes", 1.0), "bytes_shuffled": ("shuffleWriteBytes", 1.0),
    "bytes_spilled": ("diskBytesSpilled", 1.0),
}  # fmt: skip


class Meter:
    """Measure from its construction on."""

    def __init__(self, spark: SparkSession) -> None:
        """Start measuring."""
        self._spark, self._moved = spark, bytes_moved()
        self._start, self._cpu = time.perf_counter(), environment.cpu_seconds()
        self._status = _SparkStatus(spark) if session.can_broadcast(spark) else None
        self._before = self._status.newest() if self._status is not None else (-1, -1, -1)

    def read(self, rows: int, python: dict[str, float] | None = None) -> dict[str, float]:
        """Return what the run has taken so far.

        rows: the number of rows worked on.
        python: seconds by kind, as workers reported them.

        Wall seconds: ``wall``, ``in_jobs`` (while a job ran), ``no_job`` (planning, commits,
        waiting for the store). Seconds summed over tasks: ``tasks`` and its parts. CPU seconds of
        the application's processes on this host: ``processor``.
        """
        wall = time.perf_counter() - self._start
        taken: dict[str, float] = {"wall": wall, **session.start_seconds()}
        if rows:
            taken["rows_per_second"] = rows / max(wall, 1e-3)
        spent = environment.cpu_seconds() - self._cpu
        if spent > 0:
            taken["processor"] = spent
            taken["utilisation"] = spent / max(wall, 1e-3) / (os.cpu_count() or 1)
        if self._status is not None:
            taken |= self._status.since(self._before)
            for name, size in bytes_moved().items():
                taken[name] += size - self._moved[name]
            taken["in_jobs"] = min(taken["in_jobs"], wall)
            taken["no_job"] = wall - taken["in_jobs"]
            slots = session.task_slots(self._spark)
            taken["slots_busy"] = taken["tasks"] / max(wall, 1e-3) / slots
        taken |= python or {}
        return {name: round(value, 4) for name, value in taken.items()}


class _SparkStatus:
    """Spark's own record of jobs, stages and queries."""

    def __init__(self, spark: SparkSession) -> None:
        classic: Any = spark
        context = classic._jsc.sc()
        self._bus, self._jobs = context.listenerBus(), context.statusStore()
        self._queries = classic._jsparkSession.sharedState().statusStore()
        self._no_quantiles = classic.sparkContext._gateway.new_array(classic._jvm.double, 0)
        self._no_tasks = java_class(spark, "java.util.ArrayList")()
        scala = java_class(spark, "com.fasterxml.jackson.module.scala.DefaultScalaModule$")
        self._json = java_class(spark, "com.fasterxml.jackson.databind.ObjectMapper")()
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
        jobs = self._parsed(self._jobs.jobsList(None).take(now[0] - before[0]))
        # Each further attempt of a stage is an entry of its own: take more, then look at the ids.
        stages = self._parsed(self._stages().take(2 * (now[1] - before[1])))
        new_stages = [stage for stage in stages if stage["stageId"] > before[1]]
        sums = {
            name: sum(float(stage.get(metric) or 0) for stage in new_stages) * unit
            for name, (metric, unit) in _STAGE_METRICS.items()
        }
        return {"in_jobs": _covered(jobs), **sums, **self._query_seconds(now[2] - before[2])}

    def _query_seconds(self, newest: int) -> dict[str, float]:
        seconds: dict[str, float] = {}
        count = int(self._queries.executionsCount())  # Spark forgets the oldest
        newest = min(newest, count)
        if newest == 0:
            return seconds
        queries = self._queries.executionsList(count - newest, newest)
        for number in range(queries.size()):
            query = queries.apply(number)
            ended = query.completionTime()
            if ended.isEmpty() or ended.get().getTime() - query.submissionTime() < _LONG:
                continue
            values = self._parsed(self._queries.executionMetrics(query.executionId()))
            for metric in self._parsed(query.metrics()):
                name = _QUERY_METRICS.get(metric["name"])
                if name is not None:
                    value = values.get(str(metric["accumulatorId"]), "")
                    seconds[name] = seconds.get(name, 0.0) + seconds_in(value)
        return seconds

    def _stages(self) -> Any:
        """Return the stages that Spark remembers, the newest first."""
        return self._jobs.stageList(None, False, False, self._no_quantiles, self._no_tasks)

    def _parsed(self, value: Any) -> Any:
        return json.loads(self._json.writeValueAsString(value))


def summary(taken: dict[str, float]) -> str:
    """Return the resources of a run as one line for the screen."""
    parts = [f"{taken['wall']:,.1f} s"]
    if "rows_per_second" in taken:
        parts.append(f"{taken['rows_per_second']:,.0f} rows a second")
    if "in_jobs" in taken:
        parts.append(f"{taken['in_jobs']:,.1f} s in jobs, {taken['no_job']:,.1f} s without one")
        parts.append(f"task slots {taken['slots_busy']:.0%} busy")
    if "utilisation" in taken:
        parts.append(f"cores {taken['utilisation']:.0%}")
    if "kernel" in taken:
        names = ("exchange", "conversion", "quantise", "kernel")
        parts.append("in Python " + ", ".join(f"{n} {taken[n]:,.1f} s" for n in names))
    if "bytes_read" in taken:
        read, written = taken["bytes_read"] / 2**20, taken["bytes_written"] / 2**20
        parts.append(f"{read:,.0f} MiB read, {written:,.0f} MiB written")
    return "; ".join(parts)


def seconds_in(text: str) -> float:
    """Return the seconds of a metric as Spark words it, such as "total (min, ...)\n1.2 s (...)"."""
    duration = _DURATION.match(text)
    return float(duration[1].replace(",", "")) * _UNITS[duration[2]] if duration else 0.0


def _covered(jobs: Iterable[dict[str, Any]]) -> float:
    """Return the seconds in which at least one job ran."""
    spans = sorted(
        (job["submissionTime"], job["completionTime"])
        for job in jobs
        if job.get("submissionTime") and job.get("completionTime")
    )
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total / 1000
