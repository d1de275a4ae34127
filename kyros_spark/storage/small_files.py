"""Keep small files (leases, heartbeats, caches) beside tables, through Spark's file systems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.spark.deferred import is_waiting
from kyros_spark.storage.files import hadoop, local_path

# Hadoop's option for a write that S3 itself refuses if the object exists (If-None-Match).
_CONDITIONAL = "fs.option.create.conditional.overwrite"
# Hadoop looks an object up before reading it, and refuses one that was replaced in between.
_REPLACED = re.compile(r"RemoteFileChanged|PreconditionFailed|Status Code: 412")
_EXISTS = re.compile(rf"FileAlreadyExists|{_REPLACED.pattern}")
_READ_ATTEMPTS = 10


class ReadableFiles(Protocol):
    """A folder of whole small files, to be read."""

    def names(self) -> list[str]:
        """Return the names of the files."""

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if there is none."""


class SmallFiles(ReadableFiles, Protocol):
    """A folder of whole small files."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless one of that name exists; return whether it was written."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name."""

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is no error."""


def beside(spark: SparkSession, settings: TableSettings, folder: str) -> HadoopStore | None:
    """Return a folder of small files beside the tables.

    None if the tables are in a catalog, or the session is Spark Connect.
    """
    if settings.catalog is not None or getattr(spark, "_sc", None) is None:
        return None
    return HadoopStore(spark, f"{str(settings.base).rstrip('/')}/{folder}")


def readable_beside(
    spark: SparkSession, settings: TableSettings, folder: str
) -> ReadableFiles | None:
    """Return a folder of small files beside the tables, to be read; None as for `beside`.

    A session that waits to be started is not asked: its tables are on this machine's disks.
    """
    if is_waiting(spark):
        return FolderOnDisk(local_path(str(settings.base)) / folder)
    return beside(spark, settings, folder)


class FolderOnDisk:
    """A folder of small files on this machine's disks.

    It is not written to, since Hadoop keeps checksums beside the files that it has written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of the files."""
        return [entry.name for entry in self._folder.iterdir()] if self._folder.is_dir() else []

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if there is none."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None


class HadoopStore:
    """A folder of small files on one of Hadoop's file systems."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        self._spark, self._folder = spark, folder

    def names(self) -> list[str]:
        """Return the names of the files."""
        path, system = hadoop(self._spark, self._folder)
        if not system.exists(path):
            return []
        return [str(status.getPath().getName()) for status in system.listStatus(path)]

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless one of that name exists; return whether it was written."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        try:
            _write(system.createFile(path).overwrite(False).opt(_CONDITIONAL, "true").build(), data)
        except Exception as error:  # Hadoop's own classes reach Python as bare Java errors
            if _EXISTS.search(str(error)):
                return False
            raise
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        _write(system.create(path, True), data)

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if there is none."""
        for attempts_left in reversed(range(_READ_ATTEMPTS)):
            try:
                return self._read(name)
            except Exception as error:  # Hadoop's own classes reach Python as bare Java errors
                if "FileNotFoundException" in str(error):
                    break
                if not attempts_left or not _REPLACED.search(str(error)):
                    raise
        return None

    def _read(self, name: str) -> bytes:
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        stream = system.open(path)
        try:
            return bytes(stream.readAllBytes())
        finally:
            stream.close()

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is no error."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        system.delete(path, False)


def _write(out: Any, data: bytes) -> None:
    out.write(bytearray(data))
    out.close()
