"""Translate Delta's refusals into this package's errors.

Among them are a missing table, an unusable folder and a broken constraint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException

from kyros_spark.errors import ConcurrentRunError, PlatformError, TableConstraintError
from kyros_spark.foreign_errors import unreachable
from kyros_spark.spark_version import condition_of
from kyros_spark.tables.contract import Table


def is_missing(error: PySparkException) -> bool:
    """Return whether Delta failed because there is no such table."""
    condition = condition_of(error) or ""
    words = ("NOT_FOUND", "DELTA_MISSING", "DELTA_TABLE_ONLY_OPERATION", "NOT_A_DELTA")
    return any(word in condition for word in words)


@contextmanager
def translate_access_errors(location: str) -> Iterator[None]:
    """Translate the error of a store that cannot be reached.

    Raises:
        PlatformError: no such bucket, no credentials for it, or no file system of its kind.
    """
    try:
        yield
    except Exception as error:  # the store's own classes reach Python as bare Java errors
        cause = unreachable(error)
        if not cause:
            raise
        raise PlatformError(
            f"tables at {location} cannot be reached: {cause}; check the name, and "
            "that the provider chain finds credentials for it (docs/deploy.md, Tables on S3)"
        ) from error


_NO_SCHEMA = ("SCHEMA_NOT_FOUND", "NO_SUCH_CATALOG", "CATALOG_NOT_FOUND")
_NOT_WRITABLE = ("DELTA_CANNOT_CREATE_LOG_PATH", "AccessControlException")


@contextmanager
def translate_location_errors(location: str) -> Iterator[None]:
    """Translate the error of a folder or a schema in which no table can be created.

    Raises:
        PlatformError: Delta could not create its log's folder, or the schema does not exist.
    """
    try:
        yield
    except Exception as error:  # Delta's own class reaches Python as a bare Java error
        message = str(error)
        if any(word in message for word in _NO_SCHEMA):
            schema = location.rpartition(".")[0]
            raise PlatformError(
                f"tables cannot be made as {location}: expected schema {schema}, found none; make "
                f"it (CREATE SCHEMA {schema}) or set tables.catalog to one that exists"
            ) from error
        if not any(word in message for word in _NOT_WRITABLE):
            raise
        raise PlatformError(
            f"tables cannot be made at {location}: expected a folder that can be written, found "
            "none; set tables.base to one"
        ) from error


_OVERTAKEN = ("DELTA_CONCURRENT", "DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED")


@contextmanager
def translate_concurrency_errors(table: str) -> Iterator[None]:
    """Translate the error of a commit that lost to another one.

    Raises:
        ConcurrentRunError: another commit changed what this one rests on; nothing was written.
    """
    try:
        yield
    except ConcurrentRunError:
        raise
    except Exception as error:  # Delta's own class may reach Python as a bare Java error
        is_delta_class = "Concurrent" in type(error).__name__
        if not is_delta_class and not any(word in str(error) for word in _OVERTAKEN):
            raise
        raise ConcurrentRunError(
            f"table {table}: expected to be the only run on this batch, found that another "
            "committed meanwhile; nothing was written by this one: wait for the other to end, then "
            "give the same command again"
        ) from error


@contextmanager
def translate_constraint_errors(table: Table) -> Iterator[None]:
    """Translate the error of a row that breaks a constraint, naming the constraint.

    Raises:
        TableConstraintError: Delta refused the rows; nothing was written.
    """
    try:
        yield
    except Exception as error:  # Delta's own class may reach Python as a bare Java error
        message = str(error)
        if "DELTA_VIOLATE_CONSTRAINT" not in message and "DELTA_NOT_NULL_CONSTRAINT" not in message:
            raise
        line = next(line for line in message.splitlines() if "constraint" in line.lower())
        raise TableConstraintError(
            f"table {table.name}: {line.split(']')[-1].strip()}; nothing was written, "
            "see the table's constraints in docs/tables.md"
        ) from error
