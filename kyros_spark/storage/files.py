"""Write, read, list and remove whole files (such as model files) at any address.

A local path, which may be a mounted volume, is reached by plain file calls, any other address
through Spark's file systems.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import is_remote
from kyros_spark.errors import ModelFileError, PlatformError
from kyros_spark.kernels.private_files import partial_beside
from kyros_spark.spark.java_class import java_class
from kyros_spark.spark_version import condition_of

# Their rename copies and deletes. But a file appears there at the end of its writing, whole and in
# place of the one before it, so that it needs no other name meanwhile.
_OBJECT_STORES = ("s3", "s3a", "s3n", "gs", "oss", "cosn")


def write_file(spark: SparkSession, address: str, data: bytes) -> None:
    """Write a file whole or not at all, replacing an existing one.

    Raises:
        PlatformError: the address cannot be written.
    """
    if is_remote(address):
        _write_remote(spark, address, data)
        return
    path = local_path(address)
    part = partial_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as out:
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
        ModelFileError: there is no such file, or it cannot be read.
    """
    if not is_remote(address):
        try:
            return local_path(address).read_bytes()
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
    """Remove a folder and its content, if it exists."""
    if not is_remote(address):
        shutil.rmtree(local_path(address), ignore_errors=True)
        return
    path, system = hadoop(spark, address)
    system.delete(path, True)


def folder_exists(spark: SparkSession, address: str) -> bool:
    """Return whether there is a folder at an address."""
    if not is_remote(address):
        return local_path(address).is_dir()
    path, system = hadoop(spark, address)
    return bool(system.exists(path))


def files_below(spark: SparkSession, address: str) -> Iterator[tuple[str, str, str]]:
    """Yield each file below a folder: its folder's name, its own name, and its address."""
    if not is_remote(address):
        files = (path for path in local_path(address).rglob("*") if path.is_file())
        yield from ((path.parent.name, path.name, str(path)) for path in files)
        return
    folder, system = hadoop(spark, address)
    statuses = system.listFiles(folder, True)
    while statuses.hasNext():
        file = statuses.next().getPath()
        yield file.getParent().getName(), file.getName(), file.toString()


def remove_if_empty(spark: SparkSession, address: str) -> None:
    """Remove a folder if it is empty; leave any other as it is."""
    # Either file system raises an error for a folder that is missing or not empty.
    with contextlib.suppress(Exception):
        if not is_remote(address):
            local_path(address).rmdir()
            return
        path, system = hadoop(spark, address)
        system.delete(path, False)


def folders_older_than(
    spark: SparkSession, address: str, prefix: str, inner: str, age: timedelta
) -> list[str]:
    """Return the folders address/PREFIX.../inner that are unchanged for ``age``.

    No part of them is a pattern: an address may hold [1], * or ?.
    """
    before = time.time() - age.total_seconds()
    if not is_remote(address):
        parents = (path for path in _entries(local_path(address)) if path.name.startswith(prefix))
        folders = (parent / inner for parent in parents if (parent / inner).is_dir())
        return sorted(str(folder) for folder in folders if folder.stat().st_mtime < before)
    path, system = hadoop(spark, address)
    old = []
    for status in system.listStatus(path) if system.exists(path) else ():
        if status.getPath().getName().startswith(prefix):
            folder, _ = hadoop(spark, f"{status.getPath().toString()}/{inner}")
            if system.exists(folder):
                inside = system.getFileStatus(folder)
                if inside.getModificationTime() / 1000 < before:
                    old.append(str(inside.getPath().toString()))
    return sorted(old)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def remove_file(spark: SparkSession, address: str) -> None:
    """Remove a file; a missing one is no error."""
    if not is_remote(address):
        local_path(address).unlink(missing_ok=True)
        return
    path, system = hadoop(spark, address)
    system.delete(path, False)


def local_path(address: str) -> Path:
    """Return an address of this machine as a path."""
    return Path(address.removeprefix("file://").removeprefix("file:"))


def hadoop(spark: SparkSession, address: str) -> tuple[Any, Any]:
    """Return an address as Hadoop's Path, and the file system it belongs to.

    Raises:
        PlatformError: the session is Spark Connect, which offers neither.
    """
    context = getattr(spark, "_sc", None)
    if context is None:
        raise PlatformError(
            f"{address}: this session is Spark Connect, which writes files only to mounted paths; "
            "set tables.artefacts to a volume's path"
        )
    path = java_class(spark, "org.apache.hadoop.fs.Path")(address)
    return path, path.getFileSystem(context._jsc.hadoopConfiguration())


def _write_remote(spark: SparkSession, address: str, data: bytes) -> None:
    path, system = hadoop(spark, address)
    if address.partition("://")[0] in _OBJECT_STORES:
        _write_stream(system.create(path, True), data)
        return
    part = path.suffix(f".{uuid.uuid4().hex}.part")
    try:
        _write_stream(system.create(part, False), data)
        _rename_over(spark, part, path)
    except Exception as error:  # Hadoop's own classes reach Python as bare Java errors
        with contextlib.suppress(Exception):
            system.delete(part, False)
        reason = str(error).strip().splitlines()[-1][:200]
        raise PlatformError(f"{address} cannot be written: {reason}") from error


def _write_stream(out: Any, data: bytes) -> None:
    out.write(bytearray(data))
    out.close()


def _rename_over(spark: SparkSession, source: Any, target: Any) -> None:
    """Let a file take another's name in one step; the other is there until it is replaced."""
    classic: Any = spark
    rename = java_class(spark, "org.apache.hadoop.fs.Options$Rename")
    options = classic.sparkContext._gateway.new_array(rename, 1)
    options[0] = rename.OVERWRITE
    configuration = classic._jsc.hadoopConfiguration()
    contexts = java_class(spark, "org.apache.hadoop.fs.FileContext")
    context = contexts.getFileContext(target.toUri(), configuration)
    context.rename(source, target, options)
