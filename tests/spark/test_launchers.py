"""A local session's Java starts without a warning about a module that nobody asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kyros_spark.spark.java import JavaHome, find_java
from kyros_spark.spark.launchers import install_quiet_java, quiet_home

MODULE = "--add-modules=jdk.incubator.vector"


@pytest.fixture
def java() -> JavaHome:
    return find_java()


def test_java_starts_without_the_module_and_is_the_same_java(java, tmp_path):
    home = quiet_home(java, tmp_path / "cache")
    quiet, own = (_version_of(folder, MODULE) for folder in (home, java.home))
    assert home != java.home
    assert "incubator" not in quiet
    assert quiet in own  # where Java has the module, its own answer begins with the warning


def test_what_a_command_starts_takes_the_same_launcher(java, tmp_path):
    home = quiet_home(java, tmp_path / "cache")
    assert quiet_home(JavaHome(home, java.version), tmp_path / "cache") == home
    assert quiet_home(java, tmp_path / "cache") == home


def test_a_launcher_that_was_changed_is_written_anew(java, tmp_path):
    launcher = quiet_home(java, tmp_path / "cache") / "bin" / "java"
    launcher.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    assert _version_of(quiet_home(java, tmp_path / "cache")) == _version_of(java.home)


@pytest.mark.parametrize("trouble", ["others can write the folder", "a file stands there"])
def test_java_s_own_home_is_taken_where_no_launcher_can_be_trusted(java, tmp_path, trouble):
    launchers = tmp_path / "java"
    if trouble == "a file stands there":
        launchers.touch()
    else:
        launchers.mkdir()
        launchers.chmod(0o777)
    assert quiet_home(java, tmp_path) == java.home


def test_spark_submit_s_java_does_not_warn_and_follows_one_that_has_moved(
    java, tmp_path, monkeypatch
):
    home = install_quiet_java(tmp_path, java)
    quiet = _version_of(home, MODULE)
    assert "incubator" not in quiet and quiet in _version_of(java.home, MODULE)
    home = install_quiet_java(tmp_path, JavaHome(tmp_path / "gone it's", java.version))
    monkeypatch.setenv("PATH", f"{java.home}/bin:/usr/bin:/bin")
    assert _version_of(home, MODULE) == quiet


def _version_of(home: Path, *options: str) -> str:
    command = [home / "bin" / "java", *options, "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stderr
