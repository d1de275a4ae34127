"""Write and read whole files at any address: model files, which are no table.

A local path (a mounted volume too) by plain file calls; any other address by Spark's file systems.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

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
        with contextlib.suppress(OSError):
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


def remove_folder(spark: SparkSession, address: str) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if not is_remote(address):
        shutil.rmtree(_local(address), ignore_errors=True)
        return
    path, system = hadoop(spark, address)
    system.delete(path, True)


def folder_exists(spark: SparkSession, address: str) -> bool:
    """Tell whether there is a folder at an address."""
    if not is_remote(address):
        return _local(address).is_dir()
    path, system = hadoop(spark, address)
    return bool(system.exists(path))


def files_below(spark: SparkSession, address: str) -> Iterator[tuple[str, str, str]]:
    """Yield the files below a folder: their folder's name, their own, and where they lie."""
    if not is_remote(address):
        files = (one for one in _local(address).rglob("*") if one.is_file())
        yield from ((one.parent.name, one.name, str(one)) for one in files)
        return
    path, system = hadoop(spark, address)
    listed = system.listFiles(path, True)
    while listed.hasNext():
        found = listed.next().getPath()
        yield found.getParent().getName(), found.getName(), found.toString()


def remove_if_empty(spark: SparkSession, address: str) -> None:
    """Remove a folder that holds nothing; any other is left as it is."""
    # A folder that is not empty, or not there, is an error of either file system.
    with contextlib.suppress(Exception):
        if not is_remote(address):
            _local(address).rmdir()
            return
        path, system = hadoop(spark, address)
        system.delete(path, False)


def folders_older_than(spark: SparkSession, pattern: str, age: timedelta) -> list[str]:
    """Return the folders of a pattern (name parts with *) that have not changed for so long."""
    before = time.time() - age.total_seconds()
    if not is_remote(pattern):
        found = _local("/").glob(str(_local(pattern)).lstrip("/"))
        return sorted(str(one) for one in found if one.stat().st_mtime < before)
    path, system = hadoop(spark, pattern)
    listed = system.globStatus(path) or []
    return sorted(
        one.getPath().toString() for one in listed if one.getModificationTime() / 1000 < before
    )


def remove_file(spark: SparkSession, address: str) -> None:
    """Remove a file; one that is not there is no error."""
    if not is_remote(address):
        _local(address).unlink(missing_ok=True)
        return
    path, system = hadoop(spark, address)
    system.delete(path, False)


def _local(address: str) -> Path:
    return Path(address.removeprefix("file://").removeprefix("file:"))


def hadoop(spark: SparkSession, address: str) -> tuple[Any, Any]:
    """Return the address as Hadoop's Path, and the file system it lies in.

    Raises:
        PlatformError: the session is Spark Connect, which has neither.
    """
    context = getattr(spark, "_sc", None)
    if context is None:
        raise PlatformError(
            f"{address}: this session is Spark Connect, which writes files only to mounted paths; "
            "set tables.artefacts to a volume's path"
        )
    path = context._jvm.org.apache.hadoop.fs.Path(address)
    return path, path.getFileSystem(context._jsc.hadoopConfiguration())


def _write_remote(spark: SparkSession, address: str, data: bytes) -> None:
    path, system = hadoop(spark, address)
    part = path.suffix(".part")
    out = system.create(part, True)
    out.write(bytearray(data))
    out.close()
    system.delete(path, False)
    if not system.rename(part, path):
        raise PlatformError(f"{address} cannot be written: the file system refused the rename")
