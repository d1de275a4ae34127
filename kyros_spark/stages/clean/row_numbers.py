"""Number the rows of a source in the order of its files' names, the same on any cluster.

How many tasks read a file, and which part of it each, depends on the cluster. Within such a part,
a block, Spark reads rows in the order of the file. So a row's number is its place in its block, and
the rows of all blocks before that.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_FILE, _BLOCK, _PLACE = "_file", "_block", "_place"
_OFFSETS = "_of_file string, _of_block long, _offset long"


def with_row_numbers(
    frame: DataFrame, columns: Sequence[Column], names: Sequence[str]
) -> DataFrame:
    """Return columns of a source's rows, and under each of the names the row's number from 1.

    frame: what Spark's reader returned. It is read once more to count the rows of each block.
    """
    placed = frame.select(
        *columns,
        F.col("_metadata.file_path").alias(_FILE),
        F.col("_metadata.file_block_start").alias(_BLOCK),
        # The partition's number and the row's within it; blocks of one partition follow each other.
        F.monotonically_increasing_id().alias(_PLACE),
    )
    # A value is counted too: of a record without wanted columns, a reader would count its lines.
    blocks = placed.groupBy(_FILE, _BLOCK).agg(
        F.count(F.lit(1)).alias("rows"),
        F.min(_PLACE).alias("first"),
        F.count(placed.columns[0]).alias("given"),
    )
    offsets, before = [], 1
    for block in sorted(blocks.collect(), key=lambda row: (row[_FILE], row[_BLOCK])):
        offsets.append((block[_FILE], block[_BLOCK], before - block["first"]))
        before += block["rows"]
    by_block = F.broadcast(frame.sparkSession.createDataFrame(offsets, _OFFSETS))
    same = [F.col(_FILE) == F.col("_of_file"), F.col(_BLOCK) == F.col("_of_block")]
    number = F.col(_PLACE) + F.col("_offset")
    rows = placed.join(by_block, on=same, how="left")
    return rows.select(
        *placed.columns[: len(columns)], *(number.cast("bigint").alias(name) for name in names)
    )
