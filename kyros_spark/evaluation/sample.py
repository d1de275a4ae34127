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
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.arrays import BatchArrays
from kyros_spark.evaluation.rows import GROUP, STANDS_FOR

GROUPS = 20
NO_GROUP = -1
_STEPS = 1 << 30
_PLACE = "_place"


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
    sizes = {(r["split"], r["_claim"]): r["count"] for r in _strata(marked).collect()}
    quota = rows / len(sizes) if sizes else 0.0
    limits = {stratum: min(1.0, quota / size) * _STEPS for stratum, size in sizes.items()}
    drawn = marked.where(_place(key) < _by_stratum(limits))
    counts = {(r["split"], r["_claim"]): r["count"] for r in _strata(drawn).collect()}
    weights = {stratum: sizes[stratum] / count for stratum, count in counts.items()}
    return drawn.withColumns({STANDS_FOR: _by_stratum(weights), GROUP: _random_group(key)}).drop(
        "_claim"
    )


def local_whole(prepared: pa.Table) -> pa.Table:
    """Return every row, each standing for itself, of rows in this process."""
    count = prepared.num_rows
    marked = prepared.append_column(STANDS_FOR, pa.array(np.ones(count)))
    return marked.append_column(GROUP, pa.array(np.full(count, NO_GROUP, dtype=np.int32)))


def with_hashes(prepared: DataFrame, key: Sequence[str]) -> DataFrame:
    """Add what local_stratified draws by: the key's place in the draw, and its random group."""
    return prepared.withColumns({_PLACE: _place(key), GROUP: _random_group(key)})


def local_stratified(prepared: pa.Table, targets: Sequence[str], rows: int) -> pa.Table:
    """Return the sample that ``stratified`` draws, of rows in this process, from with_hashes."""
    arrays = BatchArrays(prepared)
    has_claim = np.zeros(arrays.count, dtype=np.int64)
    for name in targets:
        target = arrays.numbers(name)
        has_claim |= target.given & (target.values > 0)
    parts = arrays.texts("split")
    stratum = parts.codes * 2 + has_claim
    sizes = np.bincount(stratum, minlength=2 * len(parts.texts))
    limits = np.minimum(1.0, rows / max((sizes > 0).sum(), 1) / np.maximum(sizes, 1)) * _STEPS
    drawn = np.flatnonzero(arrays.numbers(_PLACE).values < limits[stratum])
    counts = np.bincount(stratum[drawn], minlength=sizes.size)
    stands_for = (sizes / np.maximum(counts, 1))[stratum[drawn]]
    return (
        prepared.take(drawn).drop_columns([_PLACE]).append_column(STANDS_FOR, pa.array(stands_for))
    )


def standard_error(values: Sequence[float | None]) -> float | None:
    """Return the random-group standard error of a metric, from its value in each group.

    None where fewer than half of the GROUPS have a value.
    """
    numbers = [value for value in values if value is not None]
    if len(numbers) < GROUPS / 2:
        return None
    return float(np.std(numbers, ddof=1) / np.sqrt(len(numbers)))


def _place(key: Sequence[str]) -> Column:
    return F.pmod(F.xxhash64(F.lit("evaluate"), *key), F.lit(_STEPS))


def _random_group(key: Sequence[str]) -> Column:
    return F.pmod(F.xxhash64(F.lit("group"), *key), F.lit(GROUPS)).cast("int")


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
