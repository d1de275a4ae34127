"""Find or fetch what a machine needs before Spark starts: a Java, and Delta's two jars.

`python -m kyros_spark.spark.runtime` is the last step of `make setup`. No address is hard-coded
here: Spark's own Ivy downloads Delta, so a mirror declared in spark-defaults.conf
(spark.jars.repositories, spark.jars.ivySettings) is respected.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

from kyros_spark.errors import PlatformError
from kyros_spark.kernels.private_files import partial_beside
from kyros_spark.spark.archive import ArchiveError, Installation, has_archive
from kyros_spark.spark.archive_writer import make_archive
from kyros_spark.spark.java import JavaHome, find_java, java_build
from kyros_spark.spark.launchers import install_launchers

log = logging.getLogger(__name__)

# Spark version -> Delta's artefact and version. From 4.1 on, the artefact's name holds Spark's too.
DELTA_BY_SPARK = {
    "3.5": ("delta-spark_2.12", "3.3.2"),
    "4.0": ("delta-spark_2.13", "4.0.0"),
    "4.1": ("delta-spark_4.1_2.13", "4.4.0"),
}

# Spark carries these already. Resolving them costs 75 MB of downloads and slows every start.
EXCLUDED_FROM_DELTA = "org.*:*,com.*:*,io.unitycatalog:*,io.delta:delta-kernel*"


def delta_coordinates(spark_version: str) -> str:
    """Return the Maven coordinates of Delta for a Spark version such as "4.1.4".

    Raises:
        PlatformError: the Spark version is not supported.
    """
    artefact, version = _delta_release(spark_version)
    return f"io.delta:{artefact}:{version}"


def _delta_release(spark_version: str) -> tuple[str, str]:
    release = DELTA_BY_SPARK.get(".".join(spark_version.split(".")[:2]))
    if release is None:
        raise PlatformError(
            f"Spark: expected one of {', '.join(DELTA_BY_SPARK)}, found {spark_version}. "
            "Install a supported version: pip install 'kyros-spark[local]'."
        )
    return release


def delta_jars() -> list[Path] | None:
    """Return delta-spark's and delta-storage's jars if they are on this machine, else None.

    Jars in Spark's own jars folder are on every class path already. Jars in the cache folder must
    be passed to Spark (spark.jars).
    """
    for folder in (spark_home() / "jars", _jars_folder()):
        jars = [folder / name for name in _jar_names()]
        if all(jar.is_file() for jar in jars):
            return jars
    return None


def fetch_delta_jars() -> list[Path]:
    """Return Delta's two jars, downloading them into the cache folder if this machine has none.

    Raises:
        PlatformError: they could not be downloaded.
    """
    if jars := delta_jars():
        return jars
    cache = _jars_folder()
    log.info("downloading the two Delta jars (9 MB, once)")
    with tempfile.TemporaryDirectory(prefix="kyros-ivy-") as ivy:
        complaint = _resolve_with_ivy(Path(ivy))
        names = _jar_names()
        fetched = [Path(ivy, "jars", f"io.delta_{name}") for name in names]
        if not all(jar.is_file() for jar in fetched):
            raise PlatformError(
                f"Delta: expected {' and '.join(names)}, found them neither on this machine nor "
                f"by download ({complaint}). Check the network and the proxy, name a mirror as "
                f"spark.jars.repositories in spark-defaults.conf, or put both files into {cache}."
            )
        return [_copy(jar, cache / name) for jar, name in zip(fetched, names, strict=True)]


def _resolve_with_ivy(ivy: Path) -> str:
    """Let Spark download Delta below `ivy` by submitting an empty program.

    Returns a text on how that ended, for the error if the jars are missing afterwards.
    """
    program = ivy / "nothing.py"
    program.touch()
    spark = spark_home()
    command = [str(spark / "bin" / "spark-submit"), "--master", "local[1]", "--deploy-mode=client"]
    command += ["--packages", delta_coordinates(spark_version())]
    command += ["--exclude-packages", EXCLUDED_FROM_DELTA, "--conf", f"spark.jars.ivy={ivy}"]
    variables = {
        "JAVA_HOME": str(find_java().home),
        "SPARK_HOME": str(spark),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    try:
        submitted = subprocess.run(
            [*command, str(program)],
            capture_output=True,
            text=True,
            timeout=600,
            env=os.environ | variables,
        )
    except subprocess.TimeoutExpired:
        return "no answer within ten minutes"
    except OSError as error:
        return str(error)
    pattern = r"^\s*Server access error at url \S+ \((.*)\)$"
    refused = re.search(pattern, submitted.stderr, re.MULTILINE)
    return refused[1] if refused else f"spark-submit ended with exit code {submitted.returncode}"


def install_delta_jars() -> list[Path]:
    """Put Delta's two jars into pip-installed Spark, so that a bare spark-submit needs no flags."""
    folder = _pyspark_folder() / "jars"
    current = _jar_names()
    for jar in [*folder.glob("delta-spark_*.jar"), *folder.glob("delta-storage-*.jar")]:
        if jar.name not in current:  # for an earlier Spark; pip removes only files it installed
            jar.unlink()
    return [_copy(jar, folder / jar.name) for jar in fetch_delta_jars()]


def _copy(source: Path, target: Path) -> Path:
    """Copy a file so that a reader of `target` sees all of it or nothing; return `target`."""
    if source != target and not (target.is_file() and target.samefile(source)):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_beside(target)
        shutil.copyfile(source, partial)
        partial.replace(target)
    return target


def _jar_names() -> list[str]:
    artefact, version = _delta_release(spark_version())
    return [f"{artefact}-{version}.jar", f"delta-storage-{version}.jar"]


def _jars_folder() -> Path:
    return cache_folder() / "jars" / _delta_release(spark_version())[1]


def cache_folder() -> Path:
    """Return the folder of what is made or fetched once for this user."""
    if declared := os.environ.get("KYROS_CACHE"):
        return Path(declared)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kyros-spark")


def spark_home() -> Path:
    """Return the folder of the Spark that a local session starts."""
    return Path(os.environ.get("SPARK_HOME") or _pyspark_folder())


def installation(java: JavaHome) -> Installation:
    """Return what local sessions on this Java run on.

    Raises:
        PlatformError: the Spark version is not supported.
    """
    version = spark_version()
    delta, build = _delta_release(version)[1], java_build(java.home / "bin" / "java")
    return Installation(spark_home(), version, delta, java, build, cache_folder())


def _pyspark_folder() -> Path:
    spec = util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise PlatformError(
            "Spark: expected pyspark, found none in this Python environment. "
            "Install it: pip install 'kyros-spark[local]'."
        )
    return Path(spec.origin).parent


def spark_version() -> str:
    """Return the version of the installed pyspark, without importing it."""
    try:
        return metadata.version("pyspark")
    except metadata.PackageNotFoundError:  # on PYTHONPATH from a Spark folder, not installed by pip
        text = (_pyspark_folder() / "version.py").read_text(encoding="utf-8")
        return text.rpartition('"')[0].rpartition('"')[2]


def main() -> int:
    """Set up this Python environment for Spark and Delta; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="setup: %(message)s", stream=sys.stderr)
    try:
        java = find_java()
        log.info("Java %d in %s", java.version, java.home)
        install_launchers(Path(sys.prefix), _pyspark_folder(), java)
        log.info("Delta: %s", " and ".join(jar.name for jar in install_delta_jars()))
    except PlatformError as error:
        log.error("%s", error)
        return error.exit_code
    _archive(java)
    return 0


def _archive(java: JavaHome) -> None:
    """Make the class archive unless this Java has one; without it sessions start more slowly."""
    spark = installation(java)
    if has_archive(spark):
        return
    log.info("archiving the classes of Spark, so that it starts warm (a minute, 190 MB)")
    try:
        log.info("class archive: %s", make_archive(spark))
    except ArchiveError as error:
        log.warning("%s", error)


if __name__ == "__main__":
    sys.exit(main())
