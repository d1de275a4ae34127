"""Draw the fast tier's sample: by hash of the key, stratified by part and by having a claim.

A row stands for N/n rows of its stratum, N and n counted, so that each stratum's rows add up. The
sample is the same on every run. Its error comes from random groups (Wolter, Introduction to
Variance Estimation, 2nd edition, chapter 2): the standard deviation of a metric over GROUPS
sub-samples, over the square root of GROUPS; it errs to the large side where a stratum is whole.
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
    """Return about ``rows`` rows with what each stands for: as many of each stratum, or all."""
    marked = prepared.withColumn("_claim", _has_claim(targets))
    place = F.pmod(F.xxhash64(F.lit("evaluate"), *key), F.lit(_STEPS))
    sizes = {(r["split"], r["_claim"]): r["count"] for r in _strata(marked).collect()}
    share = {of: min(1.0, rows / len(sizes) / count) for of, count in sizes.items()}
    drawn = marked.where(place < _by_stratum({of: s * _STEPS for of, s in share.items()}))
    counted = {(r["split"], r["_claim"]): r["count"] for r in _strata(drawn).collect()}
    weights = {of: sizes[of] / count for of, count in counted.items()}
    group = F.pmod(F.xxhash64(F.lit("group"), *key), F.lit(GROUPS)).cast("int")
    return drawn.withColumns({STANDS_FOR: _by_stratum(weights), GROUP: group}).drop("_claim")


def standard_error(values: Sequence[float | None]) -> float | None:
    """Return the random-group standard error of a metric, from its value in each group."""
    known = [value for value in values if value is not None]
    if len(known) < GROUPS / 2:
        return None
    return float(np.std(known, ddof=1) / np.sqrt(len(known)))


def _has_claim(targets: Sequence[str]) -> Column:
    return reduce(
        Column.__or__, (F.coalesce(F.col(name) > 0, F.lit(False)) for name in targets), F.lit(False)
    )


def _strata(rows: DataFrame) -> DataFrame:
    return rows.groupBy("split", "_claim").count()


def _by_stratum(values: Mapping[tuple[str, bool], float]) -> Column:
    chosen = F.lit(0.0)
    for (part, claim), value in values.items():
        is_it = (F.col("split") == part) & (F.col("_claim") == claim)
        chosen = F.when(is_it, F.lit(float(value))).otherwise(chosen)
    return chosen
