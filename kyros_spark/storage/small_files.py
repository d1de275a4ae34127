"""Keep small files beside tables (leases, heartbeats, caches) through Spark's own file system."""

from __future__ import annotations

import re
from typing import Any, Protocol

from pyspark.sql import SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.storage.files import hadoop

# Hadoop's option of a write that S3 itself refuses where the object is there (If-None-Match).
_CONDITIONAL = "fs.option.create.conditional.overwrite"
# Hadoop looks at an object before it reads it, and refuses one that was replaced in between.
_REPLACED = re.compile(r"RemoteFileChanged|PreconditionFailed|Status Code: 412")
_THERE = re.compile(rf"FileAlreadyExists|{_REPLACED.pattern}")
_LOOKS = 10


class SmallFiles(Protocol):
    """A folder of whole small files."""

    def names(self) -> list[str]:
        """Return the names of the files."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name; tell whether it was written."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name."""

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""


def beside(spark: SparkSession, settings: TableSettings, folder: str) -> HadoopStore | None:
    """Return a folder of small files beside the tables, where they lie in one that we reach."""
    if settings.catalog is not None or getattr(spark, "_sc", None) is None:
        return None
    return HadoopStore(spark, f"{str(settings.base).rstrip('/')}/{folder}")


class HadoopStore:
    """A folder of small files on a file system of Hadoop's."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        self._spark, self._folder = spark, folder

    def names(self) -> list[str]:
        """Return the names of the files."""
        path, system = hadoop(self._spark, self._folder)
        if not system.exists(path):
            return []
        return [str(one.getPath().getName()) for one in system.listStatus(path)]

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one of that name; tell whether it was written."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        try:
            _write(system.createFile(path).overwrite(False).opt(_CONDITIONAL, "true").build(), data)
        except Exception as error:  # Hadoop's own classes, which reach Python as one
            if _THERE.search(str(error)):
                return False
            raise
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        _write(system.create(path, True), data)

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none."""
        for looks_left in reversed(range(_LOOKS)):
            try:
                return self._read(name)
            except Exception as error:  # Hadoop's own classes, which reach Python as one
                if "FileNotFoundException" in str(error):
                    break
                if not looks_left or not _REPLACED.search(str(error)):
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
        """Remove a file; one that is not there is no error."""
        path, system = hadoop(self._spark, f"{self._folder}/{name}")
        system.delete(path, False)


def _write(out: Any, data: bytes) -> None:
    out.write(bytearray(data))
    out.close()
