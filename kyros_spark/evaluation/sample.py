"""Draw the fast tier's sample: by hash of the key, stratified by part and by having a claim.

A row stands for N/n rows of its stratum. N and n are counted, so each stratum adds up to its own
size. The sample is the same on every run. Its error comes from random groups (Wolter, Introduction
to Variance Estimation, 2nd edition, chapter 2): the standard deviation of a metric over GROUPS
sub-samples, divided by the square root of GROUPS. It errs on the large side where a stratum was
taken whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.rows import GROUP, STANDS_FOR

GROUPS = 20
NO_GROUP = -1
_STEPS = 1 << 30


def whole(prepared: DataFrame) -> DataFrame:
    """Return every row, each standing for itself."""
    return prepared.withColumns({STANDS_FOR: F.lit(1.0), GROUP: F.lit(NO_GROUP)})


def stratified(
    prepared: DataFrame, key: Sequence[str], targets: Sequence[str], rows: int
) -> DataFrame:
    """Return a sample of about ``rows`` rows, with STANDS_FOR and GROUP.

    Every stratum has the same quota; one that is smaller than its quota is taken whole.
    """
    marked = prepared.withColumn("_claim", _has_claim(targets))
    hashed = F.pmod(F.xxhash64(F.lit("evaluate"), *key), F.lit(_STEPS))
    sizes = {(r["split"], r["_claim"]): r["count"] for r in _strata(marked).collect()}
    quota = rows / len(sizes) if sizes else 0.0
    limits = {stratum: min(1.0, quota / size) * _STEPS for stratum, size in sizes.items()}
    drawn = marked.where(hashed < _by_stratum(limits))
    counts = {(r["split"], r["_claim"]): r["count"] for r in _strata(drawn).collect()}
    weights = {stratum: sizes[stratum] / count for stratum, count in counts.items()}
    group = F.pmod(F.xxhash64(F.lit("group"), *key), F.lit(GROUPS)).cast("int")
    return drawn.withColumns({STANDS_FOR: _by_stratum(weights), GROUP: group}).drop("_claim")


def standard_error(values: Sequence[float | None]) -> float | None:
    """Return the random-group standard error of a metric, from its value in each group.

    None where fewer than half of the GROUPS have a value.
    """
    numbers = [value for value in values if value is not None]
    if len(numbers) < GROUPS / 2:
        return None
    return float(np.std(numbers, ddof=1) / np.sqrt(len(numbers)))


def _has_claim(targets: Sequence[str]) -> Column:
    return reduce(
        Column.__or__, (F.coalesce(F.col(name) > 0, F.lit(False)) for name in targets), F.lit(False)
    )


def _strata(rows: DataFrame) -> DataFrame:
    return rows.groupBy("split", "_claim").count()


def _by_stratum(values: Mapping[tuple[str, bool], float]) -> Column:
    by_stratum = F.lit(0.0)
    for (part, has_claim), value in values.items():
        is_stratum = (F.col("split") == part) & (F.col("_claim") == has_claim)
        by_stratum = F.when(is_stratum, F.lit(float(value))).otherwise(by_stratum)
    return by_stratum
