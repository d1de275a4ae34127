"""A job through spark-submit, as a scheduler starts it: a process of its own, from another folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from portfolio import FIRST, Portfolio

ROOT = Path(__file__).parents[2]


def submit(job, portfolio):
    words = [
        Path(sys.executable).parent / "spark-submit",
        "--properties-file", ROOT / "conf/spark/local.conf",
        "--driver-memory", "1g",
        ROOT / f"jobs/{job}.py",
        f"--config={portfolio.config_file()}", "--batch", FIRST,
    ]  # fmt: skip
    ours = ("PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR", "JAVA_HOME")  # of this process's own session
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True, text=True, cwd=portfolio.folder, env=env, timeout=300,
    )  # fmt: skip


@pytest.mark.slow  # two Spark applications, each with a JVM of its own to warm up
def test_a_job_ends_with_its_result_line_and_exit_code(tmp_path):
    portfolio = Portfolio(tmp_path).write_sources()
    done = submit("clean", portfolio)
    assert done.returncode == 0, done.stderr[-2000:]
    line = json.loads(done.stdout)  # the log is elsewhere
    assert (line["stage"], line["status"], line["batch"]) == ("clean", "done", FIRST)
    assert (line["rows_in"], line["rows_out"], line["rows_rejected"]) == (172, 172, 0)
    assert line["outputs"]["policies"]["path"] == str(portfolio.base / "policies")

    told = [json.loads(text)["message"] for text in done.stderr.splitlines() if text[:1] == "{"]
    assert "clean 2023: done" in told
    assert not re.search(r"^\S+ \S+ (INFO|WARN) |incubator", done.stderr, re.MULTILINE)

    portfolio.source().unlink()
    failed = submit("clean", portfolio)
    assert failed.returncode == 3, failed.stderr[-2000:]
    line = json.loads(failed.stdout)
    assert (line["status"], line["error"]["type"]) == ("failed", "SourceNotFoundError")
