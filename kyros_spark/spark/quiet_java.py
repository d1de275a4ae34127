"""Start Java without the module of which it warns on every screen.

Spark asks each JVM for `jdk.incubator.vector`, which MLlib alone uses, and Java then begins with
"WARNING: Using incubator modules". No option silences that, so local sessions run Java through a
launcher that drops the request.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from kyros_spark.spark.archive import ArchiveError, check_folder
from kyros_spark.spark.java import JDK_SHIM, JavaHome, replace_file


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
