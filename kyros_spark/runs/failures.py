"""Translate failures of Spark, Hadoop and the operating system into our own errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kyros_spark.errors import (
    DamagedFileError,
    ExpressionError,
    KyrosError,
    PlatformError,
    SourceSchemaError,
    StorageFullError,
    WorkerLostError,
)
from kyros_spark.foreign_errors import (
    is_full,
    lost_worker,
    spark_is_gone,
    spark_lost,
    unreachable,
    unreachable_address,
)
from kyros_spark.runs.run import Run

# How Spark names an expression that fails on the data under ANSI rules.
_DATA_FAULTS = re.compile(
    r"DIVIDE_BY_ZERO|CAST_INVALID_INPUT|CAST_OVERFLOW|ARITHMETIC_OVERFLOW|CANNOT_PARSE|"
    r"INVALID_ARRAY_INDEX|NUMERIC_VALUE_OUT_OF_RANGE"
)
_FILE = re.compile(r"FAILED_READ_FILE.*?reading file (\S+?)\.?\s", re.DOTALL)


@contextmanager
def translate_failures(run: Run) -> Iterator[None]:
    """Raise our own error for a failure under a stage, where there is one.

    Raises:
        DamagedFileError, ExpressionError, SourceSchemaError: the data are at fault.
        PlatformError, SparkLostError, StorageFullError, WorkerLostError: the machine is.
    """
    try:
        yield
    except KyrosError as error:
        if isinstance(error, PlatformError) and is_full(error):
            _name_failure(run, error)
        raise
    except Exception as error:  # some of Spark's reach Python as bare Java errors
        _name_failure(run, error)
        raise


def _name_failure(run: Run, error: Exception) -> None:
    """Raise our own error for Spark's failure, where it has a name."""
    text = str(error)
    if spark_is_gone(error):
        raise spark_lost(f"{run.stage} {run.batch}") from error
    file = _FILE.search(text)
    if file is not None and "header does not conform" in text:
        raise SourceSchemaError(
            f"{run.stage} {run.batch}: expected in {file[1]} the header of the source's first "
            "file, found another; deliver all files with the same columns in the same order"
        ) from error
    if file is not None:
        raise DamagedFileError(
            f"{run.stage} {run.batch}: expected to read {file[1]}, found it damaged or cut short; "
            "restore it: deliver the extract again, or run the stage that wrote the table again"
        ) from error
    if is_full(error):
        raise StorageFullError(
            f"{run.stage} {run.batch}: expected room for what the stage writes, found a device "
            "full: make room where tables.base is, or in Spark's local folder (spark.local.dir), "
            "then give the same command again; what was committed before is kept"
        ) from error
    if lost_worker(error):
        raise WorkerLostError(
            f"{run.stage} {run.batch}: expected Python workers to live, found them killed, again "
            "when their task was tried again: often for memory (kyros plan tells what is bounded "
            "by which setting); give the same command again, what was committed before is kept"
        ) from error
    if cause := unreachable(error):
        raise unreachable_address(f"{run.stage} {run.batch}", cause) from error
    fault = _DATA_FAULTS.search(text)
    if fault is not None:
        start = max(text.rfind("[", 0, fault.end()), 0)  # a failed write is worded around it
        line = text[start:].strip().splitlines()[0]
        raise ExpressionError(
            f"{run.stage} {run.batch}: an expression of the settings failed on the data: {line}; "
            "use try_divide, try_cast or nullif in it"
        ) from error
