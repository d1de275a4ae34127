"""Makefile: the wheel is built again when its sources changed, and only then."""

import os
import shutil
import subprocess
import time

import pytest
from deployment import CONF


@pytest.fixture
def project(tmp_path):
    """Return a folder with the Makefile, two sources, and a Python that counts its builds."""
    shutil.copy(CONF.parent / "Makefile", tmp_path)
    for name in ("conf", "kyros_spark/stages", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "kyros_spark/a.py",
        "kyros_spark/stages/b.py",
    ):
        (tmp_path / name).write_text("")
    for name in ("build", "dev", "jdk"):
        (tmp_path / f"conf/requirements-{name}.txt").write_text("")
    python = tmp_path / ".venv/bin/python"
    python.write_text('#!/bin/sh\nmkdir -p dist\n[ "$2" != build ] || echo built >> builds\n')
    python.chmod(0o755)
    (tmp_path / ".venv/.setup-done").write_text("")
    return tmp_path


def builds(project) -> int:
    """Return how often the wheel was built once `make wheel` has run again; date all of it an hour ago."""
    done = subprocess.run(["make", "-s", "wheel"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    moment = time.time() - 3600
    for path in project.rglob("*"):
        os.utime(path, (moment, moment))
    return len((project / "builds").read_text().splitlines())


def test_bytecode_that_python_caches_does_not_build_the_wheel_again(project):
    # Two targets side by side that both found the wheel old built it into each other's folder.
    assert builds(project) == 1
    cache = project / "kyros_spark/stages/__pycache__"
    cache.mkdir()
    (cache / "b.cpython-311.pyc").write_text("")
    assert builds(project) == 1


def test_a_source_that_was_changed_added_or_removed_builds_the_wheel_again(project):
    assert builds(project) == 1
    (project / "kyros_spark/a.py").write_text("changed")
    assert builds(project) == 2
    (project / "kyros_spark/new.py").write_text("")
    assert builds(project) == 3
    (project / "kyros_spark/new.py").unlink()
    assert builds(project) == 4
    assert builds(project) == 4
