#!/usr/bin/env bash
# PySpark 4.1.1: Ctrl-C (SIGINT) while a query runs, in a plain Python program that drives a local session.
#
# PySpark installs a handler that calls SparkContext.cancelAllJobs() and then raises KeyboardInterrupt. Each Python
# thread has one connection to Java (the pinned mode, which is the default), and while a query runs the main thread
# is reading its answer from it. The handler runs in that thread and calls Java over the connection that is being
# read. What the program gets is then no KeyboardInterrupt but py4j's Py4JError, behind a logged Py4JNetworkError, "Error
# while sending or receiving", as if the JVM had gone; it has not, and another thread can go on asking it. A program that tells an
# interruption from a dead JVM by the exception, for a retry or for its exit code, tells them wrong. A handler of
# the program's own, set after the session is there, that cancels the jobs from another thread and raises
# KeyboardInterrupt itself, gets what it raises.
#
# Needs python3.11 or later, Java 17, and network. Exits 0 if all of that is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyspark==4.1.1
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import os
import signal
import sys
import threading

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
spark.range(10).count()


def raised():
    """Return the class of what a long query raises if SIGINT comes three seconds after its start."""
    threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        spark.range(10**12).selectExpr("sum(sqrt(id))").collect()
    except BaseException as error:
        return type(error).__name__
    return "nothing"


def answer_of_another_thread():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(spark.range(7).count()))
    thread.start()
    thread.join(60)
    return answers


def own_handler(number, frame):
    threading.Thread(target=spark.sparkContext.cancelAllJobs).start()
    raise KeyboardInterrupt


seen = {"PySpark's handler": raised()}
spark.sparkContext.cancelAllJobs()
seen["the JVM, asked from another thread afterwards"] = answer_of_another_thread()
signal.signal(signal.SIGINT, own_handler)
seen["a handler that cancels from another thread"] = raised()
for name, what in seen.items():
    print(f"{name}: {what}")
sys.stdout.flush()
expected = {
    "PySpark's handler": "Py4JError",
    "the JVM, asked from another thread afterwards": [7],
    "a handler that cancels from another thread": "KeyboardInterrupt",
}
os._exit(0 if seen == expected else 1)
PYTHON
