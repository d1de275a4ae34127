"""Sum numbers independently of their order, which partitioning changes from run to run.

The last digits of a floating sum depend on the order of the rows, and so would the hash of a model
file. Decimals add exactly.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

LIMIT = 1e12
_DECIMAL = "decimal(38,16)"


def exact_sum(column: Column) -> Column:
    """Return the sum to 16 decimals as a double; a plain sum if a value is NaN or 1e12 or more."""
    size = F.abs(column)  # Spark orders NaN above every number
    total = F.sum(F.when(size < LIMIT, column).cast(_DECIMAL)).cast("double")
    return F.when(F.max(size) < LIMIT, total).otherwise(F.sum(column))
