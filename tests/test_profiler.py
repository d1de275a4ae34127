"""--profile leaves folded stacks of driver and workers, which say where the time went."""

import json
import os
import subprocess
import sys
import time

import pytest
from portfolio import FIRST

from kyros_spark.profiler import FOLDER, profiled


def stacks(path):
    found = {}
    for line in path.read_text().splitlines():
        stack, _, micro = line.rpartition(" ")
        found[stack] = int(micro)
    return found


def naps(seconds):
    time.sleep(seconds)


def test_a_stack_weighs_what_it_took(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "made"))
    for _ in range(2):  # a second time adds up
        with profiled("here"):
            naps(0.3)
            naps(0.1)
    (path,) = (tmp_path / "made").iterdir()
    assert path.name.startswith("here-") and path.suffix == ".folded"
    asleep = {s: m for s, m in stacks(path).items() if "naps (tests/test_profiler.py" in s}
    assert sum(asleep.values()) == pytest.approx(0.8e6, rel=0.2)
    callers = {s.split(";")[-2] for s in asleep}
    assert len(callers) == 2, "a line each of the two calls"


def test_without_a_folder_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    with profiled("here"):
        naps(0.05)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_stage_is_profiled_with_its_workers(portfolio):
    portfolio.set("predict.unseen_warning_share", 0.5)  # so that there is something to do
    folder = portfolio.folder / "profiles"
    words = ["predict", "--config", portfolio.config_file(), "--batch", FIRST, "--profile", folder]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK", "PYSPARK"))}
    done = subprocess.run(
        [sys.executable, "-m", "kyros_spark", *map(str, words)],
        capture_output=True,
        text=True,
        env=env,
    )
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "done", done.stderr[-2000:]
    assert "speedscope" in done.stderr
    files = {path.name.rsplit("-", 2)[0]: stacks(path) for path in folder.iterdir()}
    assert set(files) == {"predict-driver", "predict-worker"}
    assert any("predict/stage.py" in stack for stack in files["predict-driver"])
    assert any("scoring/" in stack for stack in files["predict-worker"])
