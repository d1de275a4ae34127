"""Start Spark's own daemons on loopback, from the installed pyspark, and stop them at the end."""

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pyspark

from kyros_spark.spark.runtime import find_java

SPARK = Path(pyspark.__file__).parent
PACKAGE = "org.apache.spark.deploy"
PORTS = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]


def environment(python=sys.executable, **more):
    """Return this process's environment without what belongs to its own Spark."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "SPARK", "PYSPARK"))}
    return own | {
        "JAVA_HOME": str(find_java().home),
        "SPARK_HOME": str(SPARK),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(python),
        **more,
    }


@contextlib.contextmanager
def started(log, words, env):
    """Run a daemon in the foreground of a process, which is stopped at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(SPARK / "bin" / "spark-class"), *words],
            stdout=out,
            stderr=out,
            env={**env, "SPARK_DAEMON_MEMORY": "256m"},
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def line_in(log, pattern, seconds=120):
    """Return the match of a pattern in a log, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text())
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{log.name} never said {pattern}: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def cluster(folder, workers):
    """Run a master and one worker of one core for each (name, environment); yield its URL."""
    with contextlib.ExitStack() as stack:
        log = folder / "master.log"
        stack.enter_context(started(log, [f"{PACKAGE}.master.Master", *PORTS], environment()))
        url = line_in(log, r"Starting Spark master at (spark://\S+)")[1]
        for name, env in workers.items():
            words = [f"{PACKAGE}.worker.Worker", *PORTS, "--cores", "1", "--memory", "900m"]
            words += ["--work-dir", str(folder / name), url]
            stack.enter_context(started(folder / f"{name}.log", words, env))
            line_in(folder / f"{name}.log", "Successfully registered with master")
        yield url
