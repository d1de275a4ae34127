"""Cut the training part into folds by a hash of columns, so that a client stays in one fold."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

FOLD = "_fold"


def with_fold(rows: DataFrame, by: Sequence[str], folds: int) -> DataFrame:
    """Add the fold, 0 to folds - 1, by a hash that is not the split's, equal on every cluster."""
    key = [F.col(name).cast("string") for name in by]
    return rows.withColumn(FOLD, F.pmod(F.xxhash64(F.lit("kyros fold"), *key), F.lit(folds)))
