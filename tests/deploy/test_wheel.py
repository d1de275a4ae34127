"""The wheel alone, as a platform has it: its own dependencies beside somebody else's pyspark."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from deployment import ROOT
from portfolio import FIRST, Portfolio

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def wheel():
    """The wheel that `make wheel` has built, for make test-wheel builds it first."""
    return max((ROOT / "dist").glob("kyros_spark-*.whl"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """A new environment with the wheel; the platform's packages come by a .pth, without ours."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder,
         "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )  # fmt: skip
    # A .pth line adds the folder, but not that folder's own .pth files: the checkout stays out.
    (site / "platform.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def kyros(bare, folder, *words):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYSPARK", "SPARK"))}
    return subprocess.run(
        [bare / "bin" / "kyros", *map(str, words)],
        capture_output=True, text=True, cwd=folder, env=env, timeout=600,
    )  # fmt: skip


def test_the_wheel_holds_what_the_package_needs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"kyros_spark"}
    for suffix in (".properties", ".html"):
        held = {path.name for path in (ROOT / "kyros_spark").rglob(f"*{suffix}")}
        assert held and held <= {Path(name).name for name in names}


def test_the_package_comes_from_the_wheel_and_spark_from_the_platform(bare, tmp_path):
    code = "import kyros_spark, pyspark; print(kyros_spark.__file__, pyspark.__file__)"
    told = subprocess.run(
        [bare / "bin/python", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    ours, spark = told.stdout.split()
    assert ours.startswith(str(bare)) and not spark.startswith(str(bare)), told.stderr


def test_doctor_and_a_stage_run_from_any_folder(bare, tmp_path):
    portfolio = Portfolio(tmp_path / "portfolio").write_sources()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    portfolio.set("spark", {"driver_memory": "1g", "conf": {"spark.master": "local[1]"}})
    given = ("--config", portfolio.config_file())
    done = kyros(bare, elsewhere, "doctor", *given)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["status"]) == (0, "done"), done.stdout + done.stderr[-2000:]
    done = kyros(bare, elsewhere, "clean", *given, "--batch", FIRST)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["status"]) == (0, "done"), done.stderr[-2000:]
    assert (line["rows_in"], line["rows_out"]) == (172, 172)
    made = {path.name for path in elsewhere.iterdir()}
    assert made <= {"spark-warehouse", "metastore_db", "derby.log"}
