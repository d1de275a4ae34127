"""Write and read whole files at any address: model files, which are no table.

A local path (a mounted volume too) by plain file calls; any other address by Spark's file systems.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import is_remote
from kyros_spark.errors import ModelFileError, PlatformError
from kyros_spark.spark_version import condition_of


def write_file(spark: SparkSession, address: str, data: bytes) -> None:
    """Write a file whole or not at all; an existing one is replaced.

    Raises:
        PlatformError: the place cannot be written.
    """
    if is_remote(address):
        _write_remote(spark, address, data)
        return
    path = _local(address)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PlatformError(f"{address} cannot be written: {error.strerror}") from error


def read_file(spark: SparkSession, address: str) -> bytes:
    """Return a file's bytes.

    Raises:
        ModelFileError: there is none.
    """
    if not is_remote(address):
        try:
            return _local(address).read_bytes()
        except OSError as error:
            raise ModelFileError(
                f"model file {address}: expected a file, found none ({error.strerror}); restore it "
                "or train the model again"
            ) from error
    try:
        row = spark.read.format("binaryFile").load(address).select("content").first()
    except PySparkException as error:
        raise ModelFileError(
            f"model file {address}: cannot be read ({condition_of(error)}); restore it or train "
            "the model again"
        ) from error
    if row is None:
        raise ModelFileError(f"model file {address}: expected a file, found none")
    return bytes(row["content"])


def _local(address: str) -> Path:
    return Path(address.removeprefix("file://").removeprefix("file:"))


def _write_remote(spark: SparkSession, address: str, data: bytes) -> None:
    context = getattr(spark, "_sc", None)
    if context is None:
        raise PlatformError(
            f"{address}: this session is Spark Connect, which writes files only to mounted paths; "
            "set tables.artefacts to a volume's path"
        )
    jvm = context._jvm
    path = jvm.org.apache.hadoop.fs.Path(address)
    part = jvm.org.apache.hadoop.fs.Path(f"{address}.part")
    system = path.getFileSystem(context._jsc.hadoopConfiguration())
    out = system.create(part, True)
    out.write(bytearray(data))
    out.close()
    system.delete(path, False)
    if not system.rename(part, path):
        raise PlatformError(f"{address} cannot be written: the file system refused the rename")
