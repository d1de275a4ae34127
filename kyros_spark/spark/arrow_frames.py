"""Give Spark rows that the driver holds as Arrow."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema


def frame_of(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Return rows as a DataFrame, of Spark 4.0 or later.

    Spark itself takes a table of no rows in part only: not with a column of lists that has no
    chunk, and in Connect not at all.
    """
    if rows.num_rows:
        return spark.createDataFrame(rows)
    return spark.createDataFrame([], from_arrow_schema(rows.schema))
