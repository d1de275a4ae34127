"""Name what Delta refuses: no such table, no such folder, a broken constraint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException

from kyros_spark.errors import ConcurrentRunError, PlatformError, TableConstraintError, java_cause
from kyros_spark.spark_version import condition_of
from kyros_spark.tables.contract import Table


def is_missing(error: PySparkException) -> bool:
    """Tell whether Delta failed because there is no such table."""
    condition = condition_of(error) or ""
    words = ("NOT_FOUND", "DELTA_MISSING", "DELTA_TABLE_ONLY_OPERATION", "NOT_A_DELTA")
    return any(word in condition for word in words)


# What Hadoop's file systems say of a store that does not answer, or not to these credentials.
_UNREACHABLE = (
    "UnknownStoreException", "NoSuchBucket", "AccessDeniedException", "NoAuthWithAWSException",
    "NoAwsCredentials", "UnknownHostException", "UnsupportedFileSystemException",
    "S3AFileSystem not found",
)  # fmt: skip


@contextmanager
def translate_access_errors(place: str) -> Iterator[None]:
    """Name a store that cannot be reached.

    Raises:
        PlatformError: no such bucket, no credentials for it, or no file system of its kind.
    """
    try:
        yield
    except Exception as error:  # the store's own classes reach Python as bare Java errors
        if not any(word in str(error) for word in _UNREACHABLE):
            raise
        raise PlatformError(
            f"tables at {place} cannot be reached: {java_cause(error)}; check the name, and that "
            "the provider chain finds credentials for it (docs/deploy.md, Tables on S3)"
        ) from error


@contextmanager
def translate_location_errors(place: str) -> Iterator[None]:
    """Name a folder or a schema in which no table can be made.

    Raises:
        PlatformError: Delta could not make the folder of its log, or there is no such schema.
    """
    try:
        yield
    except Exception as error:  # Delta's own class reaches Python as a bare Java error
        told = str(error)
        if "SCHEMA_NOT_FOUND" in told or "NO_SUCH_CATALOG" in told or "CATALOG_NOT_FOUND" in told:
            schema = place.rpartition(".")[0]
            raise PlatformError(
                f"tables cannot be made as {place}: expected schema {schema}, found none; make it "
                f"(CREATE SCHEMA {schema}) or set tables.catalog to one that exists"
            ) from error
        if "DELTA_CANNOT_CREATE_LOG_PATH" not in told and "AccessControlException" not in told:
            raise
        raise PlatformError(
            f"tables cannot be made at {place}: expected a folder that can be written, found none; "
            "set tables.base to one"
        ) from error


_OVERTAKEN = ("DELTA_CONCURRENT", "DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED")


@contextmanager
def translate_concurrency_errors(table: str) -> Iterator[None]:
    """Name a commit that came second.

    Raises:
        ConcurrentRunError: another commit changed what this one rests on; nothing was written.
    """
    try:
        yield
    except Exception as error:  # Delta's own class may reach Python as a bare Java error
        named = "Concurrent" in type(error).__name__
        if not named and not any(word in str(error) for word in _OVERTAKEN):
            raise
        raise ConcurrentRunError(
            f"table {table}: expected to be the only run on this batch, found that another "
            "committed meanwhile; nothing was written by this one: wait for the other to end, then "
            "give the same command again"
        ) from error


@contextmanager
def translate_constraint_errors(table: Table) -> Iterator[None]:
    """Name the constraint that a row breaks.

    Raises:
        TableConstraintError: Delta refused the rows; nothing was written.
    """
    try:
        yield
    except PySparkException as error:
        told = str(error)
        if "DELTA_VIOLATE_CONSTRAINT" not in told and "DELTA_NOT_NULL_CONSTRAINT" not in told:
            raise
        line = next(part for part in told.splitlines() if "constraint" in part.lower())
        raise TableConstraintError(
            f"table {table.name}: {line.split(']')[-1].strip()}; nothing was written, "
            "see the table's constraints in docs/tables.md"
        ) from error
