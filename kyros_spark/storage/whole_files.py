"""Write and read whole data files by their full address, without a query.

The address is as Hadoop qualifies it, so that a path without a scheme cannot mean another file
system than Spark's. Files of this machine are reached by plain file calls.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pyspark.sql import SparkSession

from kyros_spark.config import is_remote
from kyros_spark.spark.java_class import java_class
from kyros_spark.storage.files import hadoop, local_path, remove_file


@contextmanager
def new_file(spark: SparkSession, address: str) -> Iterator[BinaryIO]:
    """Open a file that does not exist yet; it is complete once the block ends, or removed again.

    On another file system it is copied there at the block's end.
    """
    if not is_remote(address):
        path = local_path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _removed_on_failure(path), path.open("xb") as out:
            yield out
        return
    handle, name = tempfile.mkstemp(suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        path, system = hadoop(spark, address)
        # As a stream, which every store takes as it takes Spark's own files; S3A's
        # copyFromLocalFile sends through another of Amazon's clients.
        here = java_class(spark, "java.io.File")(name)
        copies = java_class(spark, "org.apache.hadoop.fs.FileUtil")
        copies.copy(here, system, path, False, system.getConf())
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def read_whole(spark: SparkSession, address: str) -> bytes | None:
    """Return a file's bytes, or None if there is none."""
    if not is_remote(address):
        try:
            return local_path(address).read_bytes()
        except FileNotFoundError:
            return None
    path, system = hadoop(spark, address)
    try:
        stream = system.open(path)
    except Exception as error:  # Hadoop's own classes reach Python as bare Java errors
        if "FileNotFoundException" in str(error):
            return None
        raise
    try:
        return bytes(stream.readAllBytes())
    finally:
        stream.close()


def remove_quietly(spark: SparkSession, address: str) -> None:
    """Remove a file if that is possible; what is left is for VACUUM."""
    with suppress(Exception):
        remove_file(spark, address)
