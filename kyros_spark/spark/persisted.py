"""Persist rows that are read more than once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from kyros_spark.spark.session import setting

_COLUMNS = "spark.sql.inMemoryColumnarStorage"
# The rows live for minutes, and compressing each column took a tenth of clean. Java's object
# streams release what they wrote or read (here: batches of rows) only after every hundredth object:
# at Spark's default of 10,000 rows per batch, two tasks held more than a third of a 1 GiB heap.
_SETTINGS = {f"{_COLUMNS}.compressed": "false", f"{_COLUMNS}.batchSize": "1000"}


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Persist a frame on the executors' disks during the block, where the platform can.

    Yields the persisted frame, or the frame itself on a platform without a cache.
    """
    try:
        with ExitStack() as settings:
            for key, value in _SETTINGS.items():
                with suppress(PySparkException):  # a platform that refuses keeps its own value
                    settings.enter_context(setting(frame.sparkSession, key, value))
            rows = frame.persist(StorageLevel.DISK_ONLY)
    except PySparkException:  # serverless has no cache: the frame is then computed each time
        yield frame
        return
    try:
        yield rows
    finally:
        rows.unpersist()
