"""Write launchers that start Spark from the set-up's environment, and Java without a warning.

Spark asks each JVM for `jdk.incubator.vector`, which MLlib alone uses, and Java then begins with
"WARNING: Using incubator modules". No option silences that, so local sessions run Java through a
launcher that drops the request.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from pathlib import Path

from kyros_spark.spark.archive import SUBMITTED_LOG, ArchiveError, check_folder, submitted_log
from kyros_spark.spark.java import JDK_SHIM, JavaHome, replace_file


def install_launchers(venv: Path, spark: Path, java: JavaHome) -> None:
    """Let `venv`/bin/spark-submit run without activation, on this Python and a Java without a word.

    Spark's launcher asks whichever python3 is on PATH where Spark is, and runs jobs with it too.
    Spark's location is therefore written into find_spark_home.py, and spark-env.sh names our Python
    and Java unless the environment names others. A file for Spark's log lies where conf/spark/
    local.conf finds it: errors alone, unless KYROS_SPARK_LOG names a level.

    spark: the folder of the installed pyspark.
    """
    finder = venv / "bin" / "find_spark_home.py"
    finder.unlink(missing_ok=True)
    finder.write_text(
        f"# Spark's launcher runs this to learn where Spark is.\nprint({str(spark)!r})\n"
    )
    conf = spark / "conf"
    conf.mkdir(exist_ok=True)
    (conf / SUBMITTED_LOG).write_text(submitted_log(), encoding="utf-8")
    is_ours = java.home.is_relative_to(venv)
    home = java.home if is_ours else install_quiet_java(venv, java)
    defaults = {"PYSPARK_PYTHON": sys.executable, "JAVA_HOME": str(home)}
    (conf / "spark-env.sh").write_text(
        "".join(f'{name}="${{{name}:-{value}}}"\n' for name, value in defaults.items())
    )


def install_quiet_java(venv: Path, java: JavaHome) -> Path:
    """Write the launcher that a bare `spark-submit` uses, and return its folder as JAVA_HOME.

    The system's Java may move while the launcher stays: it then takes the `java` on PATH.
    """
    home = venv / "quiet-java"
    (home / "bin").mkdir(parents=True, exist_ok=True)
    own = shlex.quote(str(java.home / "bin" / "java"))
    shebang, rest = JDK_SHIM.format(command='"$java"').split("\n", maxsplit=1)
    script = f'{shebang}\njava={own}; [ -x "$java" ] || java=java\n{rest}'
    replace_file(home / "bin" / "java", script.encode(), mode=0o755)
    return home


def quiet_home(java: JavaHome, cache: Path) -> Path:
    """Return a JAVA_HOME whose Java does not warn, or Java's own where none can be written.

    cache: the folder of what is kept for this user.
    """
    launchers = cache / "java"
    if java.home.is_relative_to(launchers):  # a command that was started by another
        return java.home
    command = java.home / "bin" / "java"
    home = launchers / hashlib.sha256(str(command).encode()).hexdigest()[:16]
    launcher = home / "bin" / "java"
    script = JDK_SHIM.format(command=shlex.quote(str(command)))
    try:
        check_folder(launchers)  # what stands there is run
        if not launcher.exists() or launcher.read_text(encoding="utf-8") != script:
            launcher.parent.mkdir(parents=True, exist_ok=True)
            replace_file(launcher, script.encode(), mode=0o755)
    except (OSError, ValueError, ArchiveError):
        return java.home
    return home if os.access(launcher, os.X_OK) else java.home  # it may not, on a disk of data
