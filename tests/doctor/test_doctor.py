"""`kyros doctor` passes a sound machine, and names each thing that was broken on purpose."""

import contextlib
import io
import json

import pytest

from kyros_spark.cli.main import main
from kyros_spark.doctor import cluster
from kyros_spark.doctor.memory import executor_memory, local_memory
from kyros_spark.environment import code_hash
from kyros_spark.spark import java
from kyros_spark.spark.driver_heap import spark_bytes

GIB = 1 << 30
HOST = {"host": "n1", "python": "3.11.7", "version": "0.1.0", "code": code_hash(), "cpu": "znver5",
        "kernel": "avx512vbmi", "memory": 16 * GIB, "cache": "/c", "compiler": "", "numba": "0.68"}  # fmt: skip


def doctor(*words):
    """Run the command; return its exit code, its lines by check name, and the result line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["doctor", *words])
    *lines, result = out.getvalue().splitlines()
    told = json.loads(result)
    assert len(lines) == len(told["checks"])
    assert all(one["verdict"] == "ok" or one["fix"] for one in told["checks"])
    return code, {one["name"]: one for one in told["checks"]}, told


@pytest.fixture
def settings(spark, raw_portfolio):
    return str(raw_portfolio.config_file()), raw_portfolio.base


def test_a_sound_machine_passes_and_nothing_is_left_in_the_store(settings):
    path, base = settings
    code, checks, told = doctor("--config", path)
    assert (code, told["status"]) == (0, "done")
    assert {"python", "spark", "java", "class archive", "delta jars", "memory", "session", "delta", "workers",
            "package", "numba", "cpus", "kernel cache", "store"} == set(checks)  # fmt: skip
    assert not [one for one in checks.values() if one["verdict"] == "fail"]
    assert list(base.iterdir()) == []


def test_without_settings_the_machine_alone_is_checked(spark):
    code, checks, _ = doctor()
    assert code == 0 and "workers" in checks and "store" not in checks


def test_wrong_settings_are_refused_as_by_every_command(settings):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["doctor", "--config", settings[0], "--set", "spark.driver_mem=1g"]) == 2
    assert json.loads(out.getvalue())["error"]["type"] == "ConfigError"


def test_a_heap_larger_than_the_machine_is_refused_before_spark_starts(settings):
    code, checks, told = doctor("--config", settings[0], "--set", "spark.driver_memory=900t")
    assert (code, told["status"]) == (2, "failed")
    assert checks["memory"]["verdict"] == "fail"
    assert "--set spark.driver_memory=" in checks["memory"]["fix"]
    assert checks["session"]["found"] == "not started"
    assert told["error"]["message"].startswith("memory: driver heap 900t of")


def test_a_machine_without_java_is_told_so(monkeypatch, tmp_path, spark):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_candidates", lambda: iter([("JAVA_HOME", tmp_path)]))
    code, checks, _ = doctor()
    assert code == 2 and checks["java"]["verdict"] == "fail"
    assert "JDK 17 or 21" in checks["java"]["fix"]


def test_executors_without_that_python_are_told_of(monkeypatch, spark):
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "/opt/gone/bin/python")
    code, checks, _ = doctor()
    assert code == 2
    assert checks["workers"]["found"] == "no Python at /opt/gone/bin/python"
    assert "PYSPARK_PYTHON" in checks["workers"]["fix"]


def test_executors_with_another_minor_version_are_told_of(monkeypatch, spark):
    monkeypatch.setattr(spark.sparkContext, "pythonVer", "3.9")
    code, checks, _ = doctor()
    assert code == 2 and "another Python than the driver's" in checks["workers"]["found"]


def test_an_unwritable_kernel_cache_is_a_warning(monkeypatch, spark):
    monkeypatch.setitem(spark.sparkContext.environment, "KYROS_KERNEL_CACHE", "/dev/null/kernels")
    code, checks, _ = doctor()
    assert code == 0 and checks["kernel cache"]["verdict"] == "warn"
    assert "KYROS_KERNEL_CACHE" in checks["kernel cache"]["fix"]
    assert checks["numba"]["verdict"] == "ok"


def test_a_compiler_that_gives_up_is_told_of(monkeypatch, spark):
    monkeypatch.setitem(spark.sparkContext.environment, "KYROS_COMPILE_SECONDS", "0.000001")
    monkeypatch.setitem(spark.sparkContext.environment, "KYROS_KERNEL_CACHE", "")
    code, checks, _ = doctor()
    assert code == 2 and "not compiled within" in checks["numba"]["found"]


def test_a_store_that_cannot_be_written_is_told_of(settings, tmp_path):
    (tmp_path / "file").touch()
    code, checks, _ = doctor("--config", settings[0], "--set", f"tables.base={tmp_path}/file/base")
    assert code == 2 and "cannot be written: Not a directory" in checks["store"]["found"]


def test_a_store_of_an_unknown_kind_is_told_of(settings):
    code, checks, _ = doctor("--config", settings[0], "--set", "tables.base=nosuch://bucket/base")
    assert code == 2 and 'No FileSystem for scheme "nosuch"' in checks["store"]["found"]


@pytest.mark.parametrize(
    ("change", "check", "verdict", "found"),
    [
        ({"python": "3.12.1"}, cluster._python, "fail", "3.11.7, 3.12.1 on 2 host"),
        ({"code": "other", "version": "0.0.9"}, cluster._package, "fail", "0.0.9 on n2"),
        ({"compiler": "no llvmlite"}, cluster._compiler, "fail", "n2: no llvmlite"),
        ({"cache": None}, cluster._cache, "warn", "on n2"),
        ({}, cluster._package, "ok", "the same everywhere"),
    ],
)
def test_one_host_that_differs_is_named(monkeypatch, change, check, verdict, found):
    monkeypatch.setattr(cluster.platform, "python_version", lambda: "3.11.9")
    told = check([HOST, HOST | {"host": "n2"} | change])
    assert told.verdict == verdict and found in told.found


def test_mixed_cpus_are_fine_unless_one_kernel_is_forced():
    hosts = [HOST, HOST | {"host": "n2", "cpu": "neoverse-v1", "kernel": "portable"}]
    assert cluster._cpus(hosts, "auto").found == "neoverse-v1 (portable), znver5 (avx512vbmi)"
    assert cluster._cpus(hosts, "portable").verdict == "ok"
    assert cluster._cpus(hosts, "avx512vbmi").found == "no avx512vbmi on n2"


@pytest.mark.parametrize(
    ("heap", "has", "verdict"),
    [
        ("3g", 24, "ok"),
        ("6g", 8, "warn"),
        ("8g", 8, "fail"),
        ("900g", 24, "fail"),
        ("lots", 8, "fail"),
    ],
)
def test_a_local_heap_is_held_against_the_machine(heap, has, verdict):
    assert local_memory(heap, has * GIB, cores=8).verdict == verdict


@pytest.mark.parametrize(
    ("conf", "verdict"),
    [
        ({"spark.executor.memory": "10g", "spark.executor.memoryOverhead": "4g"}, "ok"),
        ({"spark.executor.memory": "14g", "spark.executor.memoryOverhead": "4g"}, "fail"),
        ({"spark.executor.memory": "10g", "spark.executor.cores": "4"}, "warn"),
        ({"spark.executor.pyspark.memory": "1g"}, "warn"),
    ],
)
def test_an_executor_is_held_against_its_host(conf, verdict):
    assert executor_memory(conf, [HOST, HOST | {"memory": 64 * GIB}]).verdict == verdict


@pytest.mark.parametrize(
    ("text", "size"),
    [("3g", 3 * GIB), ("512m", GIB // 2), ("1024", GIB), ("2GB", 2 * GIB), ("x", 0)],
)
def test_sizes_are_read_as_spark_reads_them(text, size):
    assert spark_bytes(text) == size
