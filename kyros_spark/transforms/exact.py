"""Sum numbers so that their order does not matter, which is what partitions change from run to run.

Floating sums differ in their last digits with the order of the rows, and a model file's hash with
them. Decimals add exactly.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

LIMIT = 1e12
_DECIMAL = "decimal(38,16)"


def exact_sum(column: Column) -> Column:
    """Return the sum to 16 decimals as a double; plain where a value is 1e12 or more, or NaN."""
    size = F.abs(column)  # NaN is larger than any number to Spark
    total = F.sum(F.when(size < LIMIT, column).cast(_DECIMAL)).cast("double")
    return F.when(F.max(size) < LIMIT, total).otherwise(F.sum(column))
