"""Two workers that pretend to be different CPUs give one set of predictions."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pyspark
import pytest

from kyros_spark.kernels.cpu import best_kernel
from kyros_spark.runtime import find_java

HERE = Path(__file__).parent
SPARK = Path(pyspark.__file__).parent
PRETENDED = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
PACKAGE = "org.apache.spark.deploy"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def environment(**more):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "SPARK", "PYSPARK"))}
    return own | {
        "JAVA_HOME": str(find_java().home),
        "SPARK_HOME": str(SPARK),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
        **more,
    }


@contextlib.contextmanager
def started(log, words, **more):
    """Run one of Spark's own daemons in the foreground of a process, which is stopped at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(SPARK / "bin" / "spark-class"), *words],
            stdout=out,
            stderr=out,
            env=environment(SPARK_DAEMON_MEMORY="256m", **more),
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def line_in(log, pattern, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text())
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{log.name} never said {pattern}: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """A master and two workers of one core; the second pretends to be a plain CPU."""
    folder = tmp_path_factory.mktemp("cluster")
    ports = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with contextlib.ExitStack() as stack:
        log = folder / "master.log"
        stack.enter_context(started(log, [f"{PACKAGE}.master.Master", *ports]))
        url = line_in(log, r"Starting Spark master at (spark://\S+)")[1]
        for name, pretended in (("own", {}), ("pretended", PRETENDED)):
            words = [f"{PACKAGE}.worker.Worker", *ports, "--cores", "1", "--memory", "800m"]
            words += ["--work-dir", str(folder / name), url]
            stack.enter_context(started(folder / f"{name}.log", words, **pretended))
            line_in(folder / f"{name}.log", "Successfully registered with master")
        yield url


@pytest.fixture(scope="module")
def scored(master):
    """What one application found on the cluster, with each setting of the kernel."""
    done = subprocess.run(
        [sys.executable, str(HERE / "cluster_job.py"), master],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_different_cpus_give_the_same_predictions(scored):
    found = scored["auto"]
    assert (found["rows"], found["same"]) == (20_000, True)
    kernels = {host["cpu"]: host["kernel"] for host in found["hosts"]}
    assert kernels.pop("generic") == "portable"
    assert list(kernels.values()) == [best_kernel()]


def test_a_kernel_that_a_host_lacks_is_an_error_naming_host_and_feature(scored):
    error = scored["avx512vbmi"]["error"]
    assert "KernelNotAvailableError: kernel avx512vbmi needs the CPU feature" in error
    assert f"host {platform.node()} (" in error
