"""Check a session and the workers behind it: Delta, Python, package, compiler, CPUs, memory."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.doctor.memory import executor_memory
from kyros_spark.doctor.verdict import Check, fail, ok, warn
from kyros_spark.doctor.worker import facts_as_json
from kyros_spark.environment import code_hash, package_version
from kyros_spark.foreign_errors import first_line
from kyros_spark.spark.session import application, spark_conf, task_slots

Hosts = Sequence[dict[str, Any]]
_MISSING = re.compile(r"No module named '([\w.]+)'")


def cluster_checks(spark: SparkSession, config: Config | None) -> Iterator[Check]:
    """Yield the checks of the session, and of the workers if they answer."""
    facts = application(spark)
    yield ok("session", f"Spark {facts['spark']} on {facts['master']}")
    yield _delta(spark)
    try:
        hosts = _hosts(spark)
    except Exception as error:  # of any class: some reach Python as bare Java errors
        yield _no_answer(str(error))
        return
    yield _python(hosts)
    yield _package(hosts)
    yield _compiler(hosts)
    yield _cpus(hosts, config.predict.kernel if config is not None else "auto")
    yield _cache(hosts)
    if not str(facts["master"]).startswith(("local", "connect")):
        yield executor_memory(spark_conf(spark), hosts)


def _delta(spark: SparkSession) -> Check:
    try:
        spark.read.format("delta").load("/no/such/table/of/kyros")
    except PySparkException as error:
        message = str(error)
        if "DATA_SOURCE_NOT_FOUND" not in message and "ClassNotFound" not in message:
            return ok("delta", "answers")
    except Exception as error:  # a missing class reaches Python as a bare Java error
        message = str(error)
    return fail(
        "delta",
        first_line(Exception(message)),
        "put Delta's two jars on the class path: spark.jars, or --packages",
    )


def _hosts(spark: SparkSession) -> Hosts:
    """Return the distinct facts of the workers, without their process ids.

    There are twice as many tasks as slots, so that every executor is likely to answer.
    """
    tasks = 2 * task_slots(spark)
    frame = spark.range(0, tasks, 1, tasks).mapInArrow(facts_as_json, "facts string")
    rows = {json.dumps(_without_process(json.loads(row["facts"]))) for row in frame.collect()}
    return [json.loads(text) for text in sorted(rows)]


def _without_process(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "pid"}


def _no_answer(message: str) -> Check:
    """Return the check that explains why no worker answered, from Spark's error message."""
    fix = "point PYSPARK_PYTHON (spark.pyspark.python) at the Python that the driver runs"
    if "PYTHON_VERSION_MISMATCH" in message:
        driver = ".".join(platform.python_version_tuple()[:2])
        return fail("workers", f"another Python than the driver's {driver}", fix)
    if "Cannot run program" in message:
        program = re.search(r'Cannot run program "([^"]+)"', message)
        return fail("workers", f"no Python at {program[1] if program else 'its path'}", fix)
    if missing := _MISSING.search(message):
        return fail(
            "workers",
            f"their Python lacks {missing[1]}",
            "install the wheel on every host, or ship it packed (spark.archives)",
        )
    return fail("workers", first_line(Exception(message)), "KYROS_SPARK_LOG=WARN shows Spark's log")


def _python(hosts: Hosts) -> Check:
    driver = platform.python_version()
    versions = sorted({host["python"] for host in hosts})
    names = {host["host"] for host in hosts}
    finding = f"{', '.join(versions)} on {len(names)} host(s), driver {driver}"
    if {version.rpartition(".")[0] for version in versions} != {driver.rpartition(".")[0]}:
        return fail("workers", finding, "give driver and executors the same Python, 3.11 or later")
    return ok("workers", finding)


def _package(hosts: Hosts) -> Check:
    differing = [host for host in hosts if host["code"] != code_hash()]
    others = sorted({f"{host['version']} on {host['host']}" for host in differing})
    if others:
        return fail(
            "package",
            f"driver {package_version()}, other code in {', '.join(others)}",
            "install the same wheel everywhere",
        )
    return ok("package", f"kyros-spark {package_version()}, the same everywhere")


def _compiler(hosts: Hosts) -> Check:
    broken = sorted({f"{host['host']}: {host['compiler']}" for host in hosts if host["compiler"]})
    if broken:
        return fail("numba", "; ".join(broken), "install numba and llvmlite of one release there")
    return ok("numba", f"{', '.join(sorted({host['numba'] for host in hosts}))} compiles")


def _cpus(hosts: Hosts, kernel: str) -> Check:
    kinds = sorted({f"{host['cpu']} ({host['kernel']})" for host in hosts})
    lacking = sorted({host["host"] for host in hosts if host["kernel"] != kernel})
    if kernel == "avx512vbmi" and lacking:
        return fail("cpus", f"no avx512vbmi on {', '.join(lacking)}", "--set predict.kernel=auto")
    return ok("cpus", ", ".join(kinds))


def _cache(hosts: Hosts) -> Check:
    without = sorted({host["host"] for host in hosts if host["cache"] is None})
    if without:
        return warn(
            "kernel cache",
            f"no folder that only its user can write on {', '.join(without)}",
            "every process compiles its own; set KYROS_KERNEL_CACHE to one",
        )
    return ok("kernel cache", ", ".join(sorted({host["cache"] for host in hosts})))
