"""Sum up on the way, as the rows are written, so that contributions are computed once.

Workers add their sums to an accumulator, which Spark applies once per task that ended well. Whether
that held is checked: the sums count as many policies as were written. If they do not (a stage ran
twice, an earlier run had written a part, or Spark Connect has no accumulators), the batch is
explained once more for its sums alone.
"""

from __future__ import annotations

from pyspark import Accumulator, AccumulatorParam
from pyspark.sql import SparkSession

from kyros_spark.aggregates.keyed_sums import ROWS, KeyedSums
from kyros_spark.spark.session import can_broadcast
from kyros_spark.stages.explain.summary import SummaryPlan, no_sums


class _MergedSums(AccumulatorParam[bytes]):
    """States of sums as bytes; no bytes are no rows."""

    def zero(self, value: bytes) -> bytes:
        return b""

    def addInPlace(self, value1: bytes, value2: bytes) -> bytes:
        if not value1 or not value2:
            return value1 or value2
        sums = no_sums()
        sums.merge(value1)
        sums.merge(value2)
        return sums.to_bytes()


class SummaryReport:
    """The sums that workers reported on the way."""

    def __init__(self, spark: SparkSession) -> None:
        """Create the accumulator if the session supports it."""
        self._sums: Accumulator[bytes] | None = None
        if can_broadcast(spark):
            self._sums = spark.sparkContext.accumulator(b"", _MergedSums())

    def add(self, sums: KeyedSums) -> None:
        """Add, on a worker, the sums of a task."""
        if self._sums is not None:
            self._sums.add(sums.to_bytes())

    def total(self, plan: SummaryPlan, policies: int) -> KeyedSums | None:
        """Return, on the driver, the sums of all tasks; None unless they count these policies."""
        if self._sums is None or not self._sums.value:
            return None
        sums = no_sums()
        sums.merge(self._sums.value)
        counts = [sum(t[ROWS] for t in by_level.values()) for by_level in sums.by_part().values()]
        return sums if counts and set(counts) == {float(policies)} else None
