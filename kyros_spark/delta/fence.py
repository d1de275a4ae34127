"""Let each commit carry its driver's lease number, so that a table refuses a driver that lost its.

A driver looks whether it still holds the lease before it writes. It may stop between the look and
the commit for longer than the lease is waited for, and then commit beside the driver that took
over. So each commit takes the lease's number into the table's log, as a transaction of the
application APP: Delta commits none whose number is not higher than the last one's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.delta import log as delta_log
from kyros_spark.errors import ConcurrentRunError

APP = "kyros-lease"
_SETTING = "spark.databricks.delta.write.txn"


@contextmanager
def carried(spark: SparkSession, location: str, number: int) -> Iterator[None]:
    """Let the block's commit to the table in a folder carry a fencing number.

    Raises:
        ConcurrentRunError: the table has seen a higher number, before the block or by its end.
    """
    refuse_passed(delta_log.transaction(spark, location), location, number)
    spark.conf.set(f"{_SETTING}AppId", APP)
    spark.conf.set(f"{_SETTING}Version", str(number))
    try:
        yield
    finally:
        spark.conf.unset(f"{_SETTING}AppId")
        spark.conf.unset(f"{_SETTING}Version")
    # Delta passes over a write whose number is too low, without an error.
    refuse_passed(delta_log.transaction(spark, location), location, number)


def refuse_passed(transaction: Any, location: str, number: int) -> None:
    """Refuse to write to a table that a driver with a later lease has written to.

    Raises:
        ConcurrentRunError: it has.
    """
    seen = int(transaction.txnVersion(APP))
    if seen > number:
        raise ConcurrentRunError(
            f"table at {location}: expected no commit of a later lease than {number >> 32}, found "
            f"one of lease {seen >> 32}: another driver took over while this one stood still; "
            "nothing was written: give the same command again when the other has ended"
        )


def action(spark: SparkSession, number: int) -> Any:
    """Return the entry of the log that carries a number, for a commit made action by action."""
    return application_action(spark, APP, number)


def application_action(spark: SparkSession, app: str, number: int) -> Any:
    """Return the entry of the log that carries an application's number."""
    content = {"appId": app, "version": number, "lastUpdated": int(time.time() * 1000)}
    return delta_log.action(spark, "txn", content)
