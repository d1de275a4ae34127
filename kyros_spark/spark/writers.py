"""Let each task write its partitions' files at once, where the heap holds as many writers.

Beyond `spark.sql.maxConcurrentOutputFileWriters` Spark sorts a task's rows by partition first. The
rows of five models took 18 % of predict's processor time so, and each model's came in another
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.spark.driver_heap import DEFAULT, setting_of, spark_bytes
from kyros_spark.spark.session import setting, task_slots

_WRITER = 128 << 20  # bytes: a row group of the default size of Parquet
_CORES = 8  # of an executor, where nothing says


@contextmanager
def files_at_once(spark: SparkSession, files: int) -> Iterator[None]:
    """Let each task write so many files at once during the block, if its heap holds them.

    Where the platform allows no change, or the heap is too small, the session's setting stays.
    """
    key = "spark.sql.maxConcurrentOutputFileWriters"
    most = files + 1  # with as many files as the setting says, Spark sorts all the same (4.1.4)
    with ExitStack() as block:
        if files <= _that_fit(spark) and most > int(setting_of(spark, key, "0")):
            with suppress(PySparkException):
                block.enter_context(setting(spark, key, str(most)))
        yield


def _that_fit(spark: SparkSession) -> int:
    """Return how many files a task may write at once: half of its share of the heap."""
    if setting_of(spark, "spark.master", "").startswith("local"):
        heap, tasks = setting_of(spark, "spark.driver.memory", DEFAULT), task_slots(spark)
    else:
        heap = setting_of(spark, "spark.executor.memory", DEFAULT)
        tasks = int(setting_of(spark, "spark.executor.cores", str(_CORES)))
    return spark_bytes(heap) // 2 // (tasks * _WRITER)
