"""Tell the driver what scored where: each host's kernel, CPU and compiler versions.

Workers add to an accumulator, which costs nothing a row. A set's union does not care how often a
task was tried. Spark Connect has no accumulators: there the report stays empty.
"""

from __future__ import annotations

import json
from typing import Any

from pyspark import Accumulator, AccumulatorParam
from pyspark.sql import SparkSession

from kyros_spark.scoring.scorer import Scorer

_ONE_PROCESS = ("pid",)


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
    """What the workers of one run said about themselves."""

    def __init__(self, spark: SparkSession) -> None:
        """Make the accumulator, where the session has them."""
        from kyros_spark.spark.session import can_broadcast  # workers do without that module

        self._told: Accumulator[frozenset[str]] | None = None
        self._spent: Accumulator[dict[str, float]] | None = None
        if can_broadcast(spark):
            self._told = spark.sparkContext.accumulator(frozenset(), _Union())
            self._spent = spark.sparkContext.accumulator({}, _SecondsByKind())

    def spend(self, seconds: dict[str, float]) -> None:
        """Tell, on a worker, what a task's seconds went to."""
        if self._spent is not None:
            self._spent.add(seconds)

    def spent(self) -> dict[str, float]:
        """Return, on the driver, seconds by kind over all tasks, those tried again included."""
        return dict(self._spent.value) if self._spent is not None else {}

    def add(self, model: str, scorer: Scorer) -> None:
        """Tell, on a worker, which kernel scored a model and what it ran on."""
        if self._told is not None:
            facts = {k: v for k, v in scorer.describe().items() if k not in _ONE_PROCESS}
            self._told.add(frozenset({json.dumps({"model": model, **facts}, sort_keys=True)}))

    def hosts(self) -> list[dict[str, Any]]:
        """Return, on the driver, one entry a (host, CPU, kernel), with the models it scored."""
        merged: dict[str, dict[str, Any]] = {}
        for text in sorted(self._told.value if self._told is not None else ()):
            facts = json.loads(text)
            model = facts.pop("model")
            entry = merged.setdefault(json.dumps(facts), {**facts, "models": []})
            entry["models"].append(model)
        return list(merged.values())
