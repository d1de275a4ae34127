"""List the files of a source: what identifies its content, and how many rows it may have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import SourceSettings
from kyros_spark.digest import digest
from kyros_spark.errors import EmptySourceError, SourceNotFoundError
from kyros_spark.spark.deferred import is_waiting
from kyros_spark.spark_version import condition_of
from kyros_spark.tables.ddl import quoted

_FIELD_BYTES = 2  # a field of a text file with its separator, on average at least
_COMPRESSED = re.compile(r"\.(?:gz|bz2|zst|xz|lz4|snappy|deflate)$")
_RATIO = 20  # a compressed text has at most so many bytes for each of its own
_GLOB = frozenset("*?[]{}\\")
_File = tuple[str, int, str]  # path, bytes, time of change


@dataclass(frozen=True)
class SourceFiles:
    """What is known of a source before it is read.

    fingerprint: the identity of its content.
    most_rows: the most rows that it should have; None where only reading it could tell.
    """

    fingerprint: str
    most_rows: int | None


def source_path(source: SourceSettings, batch: str) -> str:
    """Return the source's path for a batch."""
    return source.path.replace("{batch}", batch)


def source_files(spark: SparkSession, name: str, source: SourceSettings, batch: str) -> SourceFiles:
    """Look a source's files up; its identity is their names, sizes and times, or a version.

    Raises:
        SourceNotFoundError: there is nothing at the path.
        EmptySourceError: the files are empty.
    """
    path = source_path(source, batch)
    with translate_source_errors(name, path):
        if source.format == "delta":
            return SourceFiles(f"{path}@{_version(spark, path)}", None)
        files = sorted(_local_files(path) if _is_local(spark, path) else _files(spark, path))
    if not sum(size for _, size, _ in files):
        raise EmptySourceError(
            f"{name}: expected rows at {path}, found none: no file there holds "
            "anything; check the extract, nothing was written"
        )
    return SourceFiles(digest(files), _most_rows(source, files))


def _most_rows(source: SourceSettings, files: list[_File]) -> int | None:
    if source.format not in ("csv", "json"):
        return None
    ratios = (_RATIO if _COMPRESSED.search(path) else 1 for path, _, _ in files)
    size = sum(ratio * size for ratio, (_, size, _) in zip(ratios, files, strict=True))
    return size // (_FIELD_BYTES * source.fields)


def _version(spark: SparkSession, path: str) -> int:
    """Return the latest version of a source that is a Delta table."""
    row = spark.sql(f"DESCRIBE HISTORY delta.{quoted(path)} LIMIT 1").first()
    return -1 if row is None else int(row["version"])


def _is_local(spark: SparkSession, path: str) -> bool:
    """Return whether Spark reads the path, a file or a folder, from this machine's disks."""
    if ":" in path or _GLOB & set(path) or not os.path.exists(path):
        return False
    if is_waiting(spark):  # which it does only where plain paths are this machine's
        return True
    context: Any = getattr(spark, "_jsc", None)
    if context is None:
        return False
    return str(context.hadoopConfiguration().get("fs.defaultFS")).startswith("file:")


def _local_files(path: str) -> Iterator[_File]:
    """Yield the files that Spark would read, which leaves out what begins with _ or a dot."""
    if os.path.isfile(path):
        status = os.stat(path)
        yield path, status.st_size, str(status.st_mtime_ns)
        return
    for entry in Path(path).iterdir():
        hidden = entry.name.startswith("_") and "=" not in entry.name
        if not hidden and not entry.name.startswith("."):
            yield from _local_files(str(entry))


def _files(spark: SparkSession, path: str) -> list[_File]:
    # Only the listing is read: Spark prunes the content column.
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = files.select("path", "length", "modificationTime").collect()
    return [(row["path"], row["length"], str(row["modificationTime"])) for row in rows]


@contextmanager
def translate_source_errors(name: str, path: str) -> Iterator[None]:
    """Translate Spark's errors about a source that cannot be read.

    Raises:
        EmptySourceError: the files hold nothing.
        SourceNotFoundError: there is nothing at the path, or it cannot be read.
    """
    try:
        yield
    except PySparkException as error:
        condition = condition_of(error) or type(error).__name__
        if "UNABLE_TO_INFER_SCHEMA" in condition:
            raise EmptySourceError(f"{name}: expected rows at {path}, found none") from error
        raise SourceNotFoundError(
            f"{name}: expected files at {path}, found none that can be read ({condition}); "
            f"check sources.{name}.path and the batch id"
        ) from error
