"""Hold rows that are read more than once on the executors' disks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from kyros_spark.spark.session import setting

_COLUMNS = "spark.sql.inMemoryColumnarStorage"
# They live for minutes: compressing each column took a tenth of clean. And Java's object streams
# let go of what they wrote or read after each hundredth object only, which are batches here: of
# Spark's 10,000 rows each, two tasks held more than a third of a heap of 1 GiB.
_SETTINGS = {f"{_COLUMNS}.compressed": "false", f"{_COLUMNS}.batchSize": "1000"}


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame that is read more than once on the executors' disks, where the platform can."""
    try:
        with ExitStack() as changed:
            for key, value in _SETTINGS.items():
                with suppress(PySparkException):  # where it cannot be set, it is as it was
                    changed.enter_context(setting(frame.sparkSession, key, value))
            kept = frame.persist(StorageLevel.DISK_ONLY)
    except PySparkException:  # serverless has no cache: the frame is then computed each time
        yield frame
        return
    try:
        yield kept
    finally:
        kept.unpersist()
