"""A JVM that is killed under a stage: a sentence, not a socket's error, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from portfolio import FIRST
from py4j.protocol import Py4JNetworkError
from pyspark.ml.regression import GeneralizedLinearRegression
from pyspark.sql import functions

from kyros_spark.delta import log as delta_log
from kyros_spark.foreign_errors import spark_is_gone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "at"),
    [
        (f"clean --batch {FIRST}", f"clean {FIRST}: check policies"),
        (f"clean --batch {FIRST}", f"clean {FIRST}: write"),
    ],
)
def test_a_killed_jvm_is_told_in_a_sentence_and_the_same_command_ends_well(
    finished, spark, tmp_path, command, at
):
    portfolio = finished.copy_to(tmp_path)
    portfolio.spoil_cells("age", {5: "33"})
    stage, *given = command.split()
    words = [sys.executable, "-m", "kyros_spark", stage, "--config", portfolio.config_file()]
    log = tmp_path / "log.txt"
    with log.open("w") as err:
        process = subprocess.Popen(
            [*map(str, words), *given], stdout=subprocess.PIPE, stderr=err, text=True
        )
        deadline = time.monotonic() + 120
        while at not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        os.kill(java_of(process.pid), signal.SIGKILL)
        told = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
    assert process.returncode == 1
    assert told["error"]["type"] == "SparkLostError"
    assert "give the same command again" in told["error"]["message"]
    assert portfolio.must(command)["status"] == "done"


def no_answer(*given):
    raise Py4JNetworkError("Error while sending or receiving")


class NoJvm:
    def __getattr__(self, name):
        no_answer()


def test_a_jvm_that_ended_is_not_taken_for_a_platform_with_another_delta():
    with pytest.raises(Py4JNetworkError):
        delta_log.is_reachable(SimpleNamespace(_jvm=NoJvm()))


def test_an_expression_is_not_to_blame_where_spark_ended_as_it_was_read(
    finished, tmp_path, monkeypatch
):
    dead = SimpleNamespace(**{**vars(functions), "expr": no_answer})
    monkeypatch.setattr("kyros_spark.transforms.features.F", dead)
    portfolio = finished.copy_to(tmp_path)
    outcome = portfolio.kyros(f"prepare --batch {FIRST} --set prepare.split.train=0.6")
    assert (outcome.code, outcome.line["error"]["type"]) == (1, "SparkLostError")


def test_a_models_levels_are_not_to_blame_where_spark_ended_as_it_was_fitted(
    finished, tmp_path, monkeypatch
):
    monkeypatch.setattr(GeneralizedLinearRegression, "fit", no_answer)
    portfolio = finished.copy_to(tmp_path)
    portfolio.set("train.models.frequency.glm.solver", "mllib")
    outcome = portfolio.kyros(f"train --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (1, "SparkLostError")


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (EOFError(), True),
        (EOFError("Compressed file ended before the end-of-stream marker was reached"), False),
        (RuntimeError("[CANNOT_OPEN_SOCKET] Can not open socket: connection refused"), True),
        (FileNotFoundError("no such file"), False),
    ],
)
def test_rows_that_stop_coming_are_told_from_files_that_end_too_soon(error, gone):
    assert spark_is_gone(error) == gone


def java_of(pid):
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"\nPPid:\t{pid}\n" in (entry / "status").read_text():
                return int(entry.name)
        except OSError:  # it ended meanwhile
            continue
    raise AssertionError("no JVM under the driver")
