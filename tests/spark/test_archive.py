"""The class archive is used while it is whole and fits, and is never a reason to fail."""

import os

import pytest

from kyros_spark.errors import PlatformError
from kyros_spark.spark import archive, archive_writer, session
from kyros_spark.spark.archive import ArchiveError, Installation
from kyros_spark.spark.java import JavaHome
from kyros_spark.spark.java_options import FAST_COMPILER, OPTIONS, java_options

CLASSES = bytes(range(256)) * 40


@pytest.fixture
def spark(tmp_path, monkeypatch):
    """A Spark with one jar, and a warm-up that writes an archive at once."""
    monkeypatch.setenv("SPARK_CONF_DIR", "")  # so that it is put back, whoever sets it
    monkeypatch.delenv("SPARK_CONF_DIR")
    monkeypatch.setattr(archive_writer, "_dump_base", lambda spark, target: None)
    monkeypatch.setattr(
        archive_writer, "_warm_up", lambda spark, target: target.write_bytes(CLASSES)
    )
    home = tmp_path / "spark"
    (home / "jars").mkdir(parents=True)
    (home / "jars" / "spark-core.jar").write_text("core")
    (home / "conf").mkdir()
    java = JavaHome(tmp_path / "java", 17)
    return Installation(home, "4.1.4", "4.4.0", java, "17.0.15+6", tmp_path / "cache")


def named(options):
    return [option.partition("=")[2] for option in options if "SharedArchiveFile" in option]


def test_an_archive_is_made_once_and_then_used(spark):
    assert archive.archive_options(spark) == [] and not archive.has_archive(spark)
    made = archive_writer.make_archive(spark)
    assert made.name.startswith("spark-4.1.4-delta-4.4.0-java-17-")
    options = archive.archive_options(spark)
    assert named(options) == [str(made)] and options[0] == "-Xshare:auto"
    assert "-Xlog:cds*=off:stdout" in options  # stdout's last line is the result's
    assert sorted(entry.name for entry in made.parent.iterdir()) == sorted(
        ["conf", made.name, made.with_suffix(".json").name]
    )


def test_a_java_without_an_archive_of_its_own_classes_gets_one(spark, monkeypatch):
    monkeypatch.setattr(
        archive_writer, "_dump_base", lambda spark, target: target.write_bytes(b"base")
    )
    made = archive_writer.make_archive(spark)
    base = made.with_suffix(".base")
    assert named(archive.archive_options(spark)) == [f"{base}:{made}"]
    base.write_bytes(b"bass")
    assert archive.archive_options(spark) == []


DAMAGES = {
    "cut short": lambda path: path.write_bytes(CLASSES[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "one byte changed": lambda path: path.write_bytes(CLASSES[:-1] + b"\0"),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "no seal": lambda path: path.with_suffix(".json").unlink(),
    "an empty seal": lambda path: path.with_suffix(".json").write_text(""),
    "another seal": lambda path: path.with_suffix(".json").write_text("[1]"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_archive_is_left_alone(spark, case):
    DAMAGES[case](archive_writer.make_archive(spark))
    assert archive.archive_options(spark) == []


def test_an_archive_of_another_java_spark_or_jar_is_left_alone(spark):
    archive_writer.make_archive(spark)
    others = [
        spark._replace(build="17.0.16+8"),
        spark._replace(spark="4.1.5"),
        spark._replace(delta="4.4.1"),
        spark._replace(java=JavaHome(spark.java.home, 21)),
    ]
    for other in others:
        assert archive.archive_options(other) == []
    (spark.home / "jars" / "spark-core.jar").write_text("another core")
    assert archive.archive_options(spark) == []


def test_a_new_archive_takes_the_place_of_the_old_one(spark):
    old = archive_writer.make_archive(spark)
    (spark.home / "jars" / "spark-core.jar").write_text("another core")
    new = archive_writer.make_archive(spark)
    assert not old.exists() and not old.with_suffix(".json").exists()
    assert named(archive.archive_options(spark)) == [str(new)]


def test_settings_in_sparks_conf_folder_stay_in_force(spark, monkeypatch):
    archive_writer.make_archive(spark)
    own = 'PYSPARK_PYTHON="${PYSPARK_PYTHON:-/venv/bin/python}"\n'
    for name, text, is_used in (
        ("spark-env.sh", own, True),
        ("log4j2.properties.template", "rootLogger", True),
        (archive.SUBMITTED_LOG, archive.submitted_log(), True),
        ("log4j2.properties", "rootLogger.level = debug\n", False),
        ("spark-env.sh", own + "export SPARK_LOCAL_DIRS=/fast\n", False),
        ("spark-defaults.conf", "spark.jars.ivySettings /mirror.xml\n", False),
    ):
        file = spark.home / "conf" / name
        file.write_text(text)
        assert bool(archive.archive_options(spark)) == is_used, text
        if not is_used:
            archive.use_empty_conf_folder(spark)
            assert "SPARK_CONF_DIR" not in os.environ
            with pytest.raises(ArchiveError, match="sessions start without"):
                archive_writer.make_archive(spark)
        file.unlink()
    archive.use_empty_conf_folder(spark)
    assert os.environ["SPARK_CONF_DIR"] == str(spark.cache / "archives" / "conf")
    assert archive.archive_options(spark)
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    assert archive.archive_options(spark) == []


def test_a_folder_that_others_can_write_is_refused(spark):
    archive_writer.make_archive(spark)
    (spark.cache / "archives").chmod(0o777)
    assert archive.archive_options(spark) == []
    with pytest.raises(ArchiveError):
        archive_writer.make_archive(spark)


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(spark):
    spark.cache.write_text("a file in the folder's place")
    assert archive.archive_options(spark) == []
    with pytest.raises(ArchiveError, match="sessions start without"):
        archive_writer.make_archive(spark)


def test_a_disk_that_fills_leaves_no_half_archive(spark, monkeypatch):
    def full(spark, target):
        target.write_bytes(CLASSES[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_writer, "_warm_up", full)
    with pytest.raises(ArchiveError, match="No space left.*sessions start without"):
        archive_writer.make_archive(spark)
    assert [entry.name for entry in (spark.cache / "archives").iterdir()] == ["conf"]


def test_what_short_work_is_started_with(spark):
    archive_writer.make_archive(spark)
    assert FAST_COMPILER in java_options(spark, short=True)
    assert FAST_COMPILER not in java_options(spark, short=False)


def test_an_archive_that_java_dies_of_is_removed_and_its_options_with_it(spark):
    made = archive_writer.make_archive(spark)
    options = java_options(spark, short=True)
    assert archive.remove_archive_of(options) and not made.exists()
    left = archive.without_archive(options)
    assert str(made) not in left and "-Xshare" not in left and FAST_COMPILER in left
    assert not archive.remove_archive_of("-Xmx1g")


def test_a_session_starts_without_an_archive_that_java_dies_of(spark, monkeypatch):
    options = java_options(spark, short=True) + archive_of(spark)
    started = []

    def start(builder):
        started.append(builder.options)
        if "SharedArchiveFile" in builder.options:
            raise PlatformError("Spark did not start")
        return "a session"

    monkeypatch.setattr(session, "_started", start)
    assert session._started_here(Builder(options), options) == "a session"
    assert len(started) == 2 and not archive.has_archive(spark)
    with pytest.raises(PlatformError):
        monkeypatch.setattr(session, "_started", lambda builder: start(Builder(options)))
        session._started_here(Builder("-Xmx1g"), "-Xmx1g")


class Builder:
    """As much of SparkSession.builder as is needed: Java's options."""

    def __init__(self, options):
        self.options = options

    def config(self, key, value):
        assert key == OPTIONS
        return Builder(value)


def archive_of(spark):
    archive_writer.make_archive(spark)
    return " " + " ".join(archive.archive_options(spark))
