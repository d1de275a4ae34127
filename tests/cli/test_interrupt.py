"""Ctrl-C: the command says that it was interrupted, and Spark can be asked again."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from portfolio import FIRST

from kyros_spark.cli.sql import answer, prompt
from kyros_spark.config import load_config


@pytest.mark.slow
def test_an_interrupted_stage_says_so_and_the_same_command_ends_well(portfolio, spark, tmp_path):
    portfolio.spoil_cells("age", {5: "33"})
    config, log = portfolio.config_file(), tmp_path / "log.txt"
    words = [sys.executable, "-m", "kyros_spark", "clean", "--config", config, "--batch", FIRST]
    with log.open("w") as err:
        process = subprocess.Popen(
            list(map(str, words)), stdout=subprocess.PIPE, stderr=err, text=True,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while f"clean {FIRST}: check policies" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to Java as well
        line = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
    assert process.returncode == 130
    assert line["error"]["type"] == "KeyboardInterrupt"
    assert "the same command goes on" in line["error"]["message"]
    assert "Traceback" not in log.read_text()
    failed = portfolio.read(spark, "runs").where("error_type = 'KeyboardInterrupt'").collect()
    assert [row["run_id"] for row in failed] == [line["run_id"]], "the ledger was written after it"
    assert portfolio.must(f"clean --batch {FIRST}")["status"] == "done"


@pytest.mark.parametrize("at", ["line", "query"])
def test_the_prompt_drops_what_was_interrupted_and_stays(finished, spark, monkeypatch, capsys, at):
    typed = iter(["SELECT 1 AS", None, "SELECT 2 AS two;", "exit;"])
    if at == "query":
        typed = iter(["SELECT 1 AS one;", "SELECT 2 AS two;", "exit;"])
        calls = iter([KeyboardInterrupt, answer.answer])

        def interrupted_once(*given):
            call = next(calls)
            if call is KeyboardInterrupt:
                raise KeyboardInterrupt
            return call(*given)

        monkeypatch.setattr(answer, "answer", interrupted_once)

    def line_or_ctrl_c(prompt):
        text = next(typed)
        if text is None:
            raise KeyboardInterrupt
        return text

    monkeypatch.setattr("builtins.input", line_or_ctrl_c)
    prompt.prompt(spark, load_config(str(finished.config_file())))
    shown = capsys.readouterr().out
    assert "|2  |" in shown and "|1  |" not in shown
    assert ("interrupted" in shown) == (at == "query")
