"""Keep an archive of Spark's classes, with which the JVM of a local session starts warm.

Java reads, checks and links some 20,000 classes of Spark before its first row. A class-data archive
(-XX:ArchiveClassesAtExit, of Java 13 and later) holds them ready: start, first query and first
write take 12.5 CPU seconds with it instead of 18.7. `make setup` and `kyros doctor --mend` make it.

An archive is never a reason to fail. Java itself refuses one of another Java or of other jars, but
dies of a file that was cut short, so the file's length and checksum are compared first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zlib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from kyros_spark.errors import KyrosError
from kyros_spark.spark.java import JavaHome

# Java complains of an archive on stdout, whose last line is the result's.
_SILENT = "-Xlog:cds*=off:stdout"
_OURS = re.compile(r'(PYSPARK_PYTHON|JAVA_HOME)="\$\{\1:-[^\n]*\}"\n')
_USE = re.compile(rf"\s*-Xshare:auto -XX:SharedArchiveFile=(\S+) {re.escape(_SILENT)}")
_CHUNK = 1 << 20
SUBMITTED_LOG = "kyros-log4j2.properties"  # in Spark's conf folder, read by those who name it


class ArchiveError(KyrosError):
    """The class-data archive could not be made; sessions start without it."""


class Installation(NamedTuple):
    """The Spark, Delta and Java of local sessions.

    home, spark, delta: Spark's folder, and both versions.
    java: Java's folder, and what `java -version` prints, which tells builds apart.
    cache: the folder of what is kept for this user.
    """

    home: Path
    spark: str
    delta: str
    java: JavaHome
    build: str
    cache: Path


def archive_options(spark: Installation) -> list[str]:
    """Return the options with which Java reads its archive; none where it has no sound one."""
    if conf_folder(spark) is None:
        return []
    try:
        archive = archive_path(spark)
        sound = _is_sound(archive)
    except OSError:
        return []
    if not sound:
        return []
    files = [str(file) for file in (base_of(archive), archive) if file.exists()]
    return ["-Xshare:auto", f"-XX:SharedArchiveFile={os.pathsep.join(files)}", _SILENT]


def writing_options(target: str) -> list[str]:
    """Return the options with which Java archives, when it ends, the classes it has loaded."""
    base = base_of(Path(target))
    below = [f"-XX:SharedArchiveFile={base}"] if base.exists() else []
    writing = [f"-XX:ArchiveClassesAtExit={target}", "-Xlog:disable", "-XX:TieredStopAtLevel=1"]
    return below + writing


def use_empty_conf_folder(spark: Installation) -> None:
    """Put an empty folder in the place of Spark's own conf folder, if that says nothing to us.

    Java refuses an archive while a folder with files is on the class path.
    """
    if (folder := conf_folder(spark)) is not None:
        os.environ["SPARK_CONF_DIR"] = str(folder)


def without_archive(options: str) -> str:
    """Return Java's options without those of an archive."""
    return _USE.sub("", options).strip()


def remove_archive_of(options: str) -> bool:
    """Remove the archive that Java's options name; return whether they name one of ours."""
    match = _USE.search(options)
    if match is None:
        return False
    for file in match[1].split(os.pathsep):
        Path(file).unlink(missing_ok=True)
    return True


def has_archive(spark: Installation) -> bool:
    """Return whether Java has a sound archive of Spark on this machine."""
    return bool(archive_options(spark))


def archive_path(spark: Installation) -> Path:
    """Return where the archive of this Java, these jars and this class path is kept."""
    jars = sorted(
        [entry.name, status.st_size, status.st_mtime_ns]
        for entry in os.scandir(spark.home / "jars")
        if (status := entry.stat())
    )
    identity = json.dumps([spark.build, str(spark.home), jars])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    versions = f"spark-{spark.spark}-delta-{spark.delta}-java-{spark.java.version}"
    return _folder(spark) / f"{versions}-{digest}.jsa"


def _folder(spark: Installation) -> Path:
    return spark.cache / "archives"


def seal_of(archive: Path) -> Path:
    """Return the file that holds an archive's length and checksum."""
    return archive.with_suffix(".json")


def conf_folder(spark: Installation) -> Path | None:
    """Return an empty folder for Spark's settings, or None where somebody has settings there."""
    empty = _folder(spark) / "conf"
    declared = os.environ.get("SPARK_CONF_DIR")
    if declared is not None and Path(declared) != empty:
        return None
    try:
        present = [entry for entry in (spark.home / "conf").glob("*") if _counts(entry)]
        if present:
            return None
        check_folder(empty.parent)
        empty.mkdir(exist_ok=True)
        return None if any(empty.iterdir()) else empty
    except (OSError, ArchiveError):
        return None


def _counts(entry: Path) -> bool:
    """Return whether a file of Spark's conf folder says anything that we do not say ourselves."""
    if entry.suffix == ".template" or entry.name == SUBMITTED_LOG:
        return False
    return entry.name != "spark-env.sh" or _OURS.sub("", entry.read_text("utf-8")).strip() != ""


def submitted_log() -> str:
    """Return what Spark logs under spark-submit with conf/spark/local.conf: errors, to stderr."""
    local = resources.files("kyros_spark.spark") / "log4j2.properties"
    return local.read_text(encoding="utf-8").replace(":-off}", ":-error}")


def check_folder(folder: Path) -> None:
    """Make the archives' folder; refuse one in which others could put code for us to run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ArchiveError(
            f"class archive: expected a folder that only you can write, found {folder}; "
            "sessions start without"
        )


def base_of(archive: Path) -> Path:
    """Return where Java's own classes are archived, if Java brought no archive of them."""
    return archive.with_suffix(".base")


def _is_sound(archive: Path) -> bool:
    try:
        seal: Any = json.loads(seal_of(archive).read_text(encoding="utf-8"))
        return bool(seal["files"] == sums_of(archive))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def sums_of(archive: Path) -> dict[str, list[int]]:
    """Return length and checksum of the archive's files, by their endings."""
    files = [file for file in (base_of(archive), archive) if file.exists()]
    return {file.suffix: [file.stat().st_size, _crc32(file)] for file in files}


def _crc32(path: Path) -> int:
    """Return a file's checksum; 190 MB take 0.05 s, and Java needs the pages next anyway."""
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
