"""Tell whether the driver's JVM can hand rows over as Arrow: they pass through its heap whole.

A heap that is too small for them ends in no error: the thread of Spark that takes in results dies,
and the stage waits for ever (Spark 4.1.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # kyros doctor reads sizes where there is no Spark
    from pyspark.sql import DataFrame, SparkSession

_UNITS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
DEFAULT = "1g"  # Spark's own, of both settings
_SHARE = 5  # of the heap: results lie in it up to three times, made, stored and read back
# Bytes of a value as Arrow has it; a text is taken for sixteen characters.
_WIDTHS = {"boolean": 1, "tinyint": 1, "smallint": 2, "int": 4, "float": 4, "date": 4,
           "decimal": 16, "string": 24, "binary": 24}  # fmt: skip
_WIDTH = 8


def spark_bytes(text: str) -> int:
    """Return the bytes of a size as Spark writes it (3g, 512m; a bare number is MiB), or 0."""
    match = re.fullmatch(r"\s*(\d+)\s*([bkmgtp]?)b?\s*", text.lower())
    return int(match[1]) << _UNITS[match[2] or "m"] if match else 0


def setting_of(spark: SparkSession, name: str, default: str) -> str:
    """Return a setting of the session; the default where it is not set, or not told."""
    from pyspark.errors import PySparkException

    try:
        return str(spark.conf.get(name, default))
    except PySparkException:  # serverless compute does not tell its machines' settings
        return default


def heap_holds(spark: SparkSession, types: Iterable[str], rows: int) -> bool:
    """Return whether so many rows may be collected as Arrow by this session's driver.

    types: of their columns, as Spark SQL spells them. Rows get a fifth of `spark.driver.memory`,
    and at most `spark.driver.maxResultSize`, above which Spark refuses them.
    """
    needed = rows * sum(_WIDTHS.get(kind.partition("(")[0], _WIDTH) for kind in types)
    heap = spark_bytes(setting_of(spark, "spark.driver.memory", DEFAULT))
    most = spark_bytes(setting_of(spark, "spark.driver.maxResultSize", DEFAULT))
    return needed <= heap // _SHARE and (most == 0 or needed <= most)


def can_collect(frame: DataFrame, rows: int) -> bool:
    """Return whether so many rows of a frame may be collected as Arrow."""
    types = (field.dataType.simpleString() for field in frame.schema)
    return heap_holds(frame.sparkSession, types, rows)
