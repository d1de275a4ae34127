"""Tell in what a command and a session must agree: code, Python, libraries, environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from kyros_spark import environment

# What Java and Spark's workers have read at their start. Everything else a command brings along.
_AT_START = (
    "AWS_", "AZURE_", "GOOGLE_", "HADOOP_", "JAVA_", "JDK_", "_JAVA_", "KYROS_", "LANG", "LC_",
    "LD_", "NUMBA_", "OMP_", "PYSPARK_", "PYTHON", "SPARK_", "TZ", "XDG_CACHE_HOME",
)  # fmt: skip
_NOT_READ = ("KYROS_SESSION",)


def identity() -> dict[str, Any]:
    """Return what this process is, as JSON takes it."""
    return {
        "code": environment.code_hash(),
        "package": os.path.dirname(environment.__file__),
        "python": [sys.executable, sys.version],
        "libraries": environment.libraries(),
    }


def difference(
    mine: Mapping[str, Any], other: Mapping[str, Any], at_start: Mapping[str, str],
    now: Mapping[str, str],
) -> str:  # fmt: skip
    """Return in what a command differs from the session, in words, or ""."""
    if mine["python"] != other.get("python") or mine["libraries"] != other.get("libraries"):
        return "it runs another Python, or other libraries"
    if mine["code"] != other.get("code") or mine["package"] != other.get("package"):
        return "it runs other code"
    before, after = relevant(at_start), relevant(now)
    changed = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
    return f"it was started with another {', '.join(changed)}" if changed else ""


def relevant(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that count at a session's start alone."""
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(_AT_START) and name not in _NOT_READ
    }
