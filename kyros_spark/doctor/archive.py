"""Check the class archive with which Java starts warm, and make it."""

from __future__ import annotations

from kyros_spark.doctor.verdict import Check, ok, warn
from kyros_spark.errors import PlatformError
from kyros_spark.log import event
from kyros_spark.spark.archive import ArchiveError, has_archive
from kyros_spark.spark.archive_writer import make_archive
from kyros_spark.spark.java import JavaHome, find_java
from kyros_spark.spark.runtime import installation


def archive_check(java: JavaHome) -> Check:
    """Return whether Java has an archive of the classes of Spark."""
    try:
        if has_archive(installation(java)):
            return ok("class archive", "Spark starts warm")
    except PlatformError as error:
        return warn("class archive", "unknown", str(error))
    return warn("class archive", "none, so that Spark starts slowly", "kyros doctor --mend")


def mend_archive() -> None:
    """Make the archive if there is none; say why not if that fails, as sessions start without."""
    try:
        spark = installation(find_java())
        if not has_archive(spark):
            event("archiving the classes of Spark, so that it starts warm (a minute, 190 MB)")
            make_archive(spark)
    except (ArchiveError, PlatformError) as error:
        event(str(error), level=30)
