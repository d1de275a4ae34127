"""Check that the tables' location can be written, read by the workers, and cleaned up again."""

from __future__ import annotations

import uuid

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import TableSettings
from kyros_spark.doctor.verdict import Check, fail, ok
from kyros_spark.errors import PlatformError
from kyros_spark.foreign_errors import first_line, java_cause
from kyros_spark.storage.files import remove_file, write_file
from kyros_spark.tables.ddl import quoted

_FIX = "check that it exists, and that driver and executors may write, read and delete there"


def store_check(spark: SparkSession, tables: TableSettings) -> Check:
    """Write, read and remove a file under tables.base; with a catalog, a table there too."""
    try:
        if tables.catalog is not None:
            _try_catalog(spark, tables.catalog)
        folder = tables.base if tables.base is not None else tables.artefact_folder()
        _try_folder(spark, folder)
    except (PlatformError, OSError, PySparkException) as error:
        return fail("store", f"{_location(tables)}: {first_line(error)}", _FIX)
    except Exception as error:  # a store's own errors reach Python as bare Java errors
        return fail("store", f"{_location(tables)}: {java_cause(error)}", _FIX)
    return ok("store", f"{_location(tables)} can be written, read and cleaned")


def _try_folder(spark: SparkSession, folder: str) -> None:
    address = f"{folder.rstrip('/')}/kyros-doctor-{uuid.uuid4().hex}.txt"
    write_file(spark, address, b"kyros doctor")
    try:
        lines = [row[0] for row in spark.read.text(address).collect()]
        if lines != ["kyros doctor"]:
            raise PlatformError(f"expected to read back what was written, found {lines}")
    finally:
        remove_file(spark, address)


def _try_catalog(spark: SparkSession, schema: str) -> None:
    parts = [*schema.split("."), f"kyros_doctor_{uuid.uuid4().hex}"]
    table = ".".join(quoted(part) for part in parts)
    spark.sql(f"CREATE TABLE {table} (one INT) USING delta")
    spark.sql(f"DROP TABLE {table}")


def _location(tables: TableSettings) -> str:
    return tables.catalog or str(tables.base)
