"""Stop a command at Ctrl-C: its Spark jobs, then its Python, so that Spark can be asked again.

PySpark's own handler calls Java on the connection that is waiting for an answer; the command then
ends in a network error, as if the JVM had died.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import Any

from pyspark.sql import SparkSession

_CANCELLING = 5.0  # s; a query that is being planned has no job yet


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a command that works with Spark."""

    def __init__(self) -> None:
        super().__init__("interrupted; the same command goes on from what was committed")


Interrupted.__name__ = KeyboardInterrupt.__name__  # for the result line it is nothing else


def stop_at_ctrl_c(spark: SparkSession) -> None:
    """Make Ctrl-C cancel the jobs of a session and raise KeyboardInterrupt in the main thread.

    To be called once the session is there, since PySpark sets its handler with it. Without effect
    in any other thread, which gets no signals.
    """

    def interrupt(number: int, frame: Any) -> None:
        drop_java_connection()
        threading.Thread(target=_cancel_jobs, args=(spark,), daemon=True).start()
        raise Interrupted

    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, interrupt)


def drop_java_connection() -> None:
    """Let this thread open a new connection to Java, as the present one holds half an answer."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    client = getattr(gateway, "_gateway_client", None)
    kept = getattr(client, "thread_connection", None)
    if kept is not None and hasattr(kept, "connection"):
        del kept.connection


def _cancel_jobs(spark: SparkSession) -> None:
    deadline = time.monotonic() + _CANCELLING
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # the JVM may be gone, or the session be a client's
            spark.sparkContext.cancelAllJobs()
        time.sleep(0.2)
