"""Report to the driver what scored where: each host's kernel, CPU and compiler versions.

Workers add to accumulators, which costs nothing per row. The facts are merged by set union, so a
task that is tried again adds nothing to them. Spark Connect has no accumulators; there the report
stays empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyspark import Accumulator, AccumulatorParam
from pyspark.sql import SparkSession

_PROCESS_FACTS = ("pid",)


class _Union(AccumulatorParam[frozenset[str]]):
    def zero(self, value: frozenset[str]) -> frozenset[str]:
        return frozenset()

    def addInPlace(self, value1: frozenset[str], value2: frozenset[str]) -> frozenset[str]:
        return value1 | value2


class _SecondsByKind(AccumulatorParam[dict[str, float]]):
    def zero(self, value: dict[str, float]) -> dict[str, float]:
        return {}

    def addInPlace(self, value1: dict[str, float], value2: dict[str, float]) -> dict[str, float]:
        return {n: value1.get(n, 0.0) + value2.get(n, 0.0) for n in {*value1, *value2}}


class HostReport:
    """What the workers of one run reported about themselves."""

    def __init__(self, spark: SparkSession) -> None:
        """Create the accumulators if the session supports them."""
        from kyros_spark.spark.session import can_broadcast  # workers do not need that module

        self._facts: Accumulator[frozenset[str]] | None = None
        self._seconds: Accumulator[dict[str, float]] | None = None
        if can_broadcast(spark):
            self._facts = spark.sparkContext.accumulator(frozenset(), _Union())
            self._seconds = spark.sparkContext.accumulator({}, _SecondsByKind())

    def spend(self, seconds: dict[str, float]) -> None:
        """Add, on a worker, a task's seconds by kind."""
        if self._seconds is not None:
            self._seconds.add(seconds)

    def spent(self) -> dict[str, float]:
        """Return, on the driver, the seconds by kind over all tasks, retried tasks included."""
        return dict(self._seconds.value) if self._seconds is not None else {}

    def add(self, model: str, description: Mapping[str, object]) -> None:
        """Record, on a worker, which kernel worked on a model and what it ran on.

        description: as `Scorer.describe` gives it.
        """
        if self._facts is not None:
            facts = {k: v for k, v in description.items() if k not in _PROCESS_FACTS}
            self._facts.add(frozenset({json.dumps({"model": model, **facts}, sort_keys=True)}))

    def hosts(self) -> list[dict[str, Any]]:
        """Return, on the driver, one entry per (host, CPU, kernel) with the models it scored."""
        merged: dict[str, dict[str, Any]] = {}
        for text in sorted(self._facts.value if self._facts is not None else ()):
            facts = json.loads(text)
            model = facts.pop("model")
            entry = merged.setdefault(json.dumps(facts), {**facts, "models": []})
            entry["models"].append(model)
        return list(merged.values())
