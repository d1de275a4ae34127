"""The stages against a real Spark Connect server on loopback, by a client that has no Spark of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from portfolio import FIRST, SECOND, Portfolio
from standalone import SPARK, environment

from kyros_spark.spark.session import DELTA

GLMS = ("frequency", "severity", "premium", "pure_premium")
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """A server in a process of its own; what it says goes to a log."""
    folder = tmp_path_factory.mktemp("connect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        **DELTA,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 2,
        "spark.databricks.delta.snapshotPartitions": 1,
    }
    words = [SPARK / "bin/spark-submit", "--class", SERVER, "--master", "local[2]"]
    words += ["--driver-memory", "2g"]
    for key, value in settings.items():
        words += ["--conf", f"{key}={value}"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*map(str, words), "spark-internal"],
            stdout=log, stderr=log, env=environment(), cwd=folder,
        )  # fmt: skip
    try:
        wait_for(port, server, folder / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def wait_for(port, server, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise AssertionError(f"no server on port {port}: {log.read_text()[-2000:]}")


def kyros(remote, portfolio, *words):
    """Run the command line in a process that knows of Spark only where the server is."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK", "PYSPARK", "JAVA"))}
    command = [sys.executable, "-m", "kyros_spark", *words]
    done = subprocess.run(
        [*command, "--config", str(portfolio.config_file())],
        env={**env, "SPARK_REMOTE": remote},
        cwd=portfolio.folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def portfolio(remote, tmp_path_factory):
    tiny = Portfolio(tmp_path_factory.mktemp("tiny")).write_sources()
    models = tiny.settings["train"]["models"]
    tiny.set("train.models", {name: models[name] for name in GLMS})
    tiny.set("predict.models", list(GLMS))
    code, line = kyros(remote, tiny, "run", "--batch", FIRST, "--batch", SECOND)
    assert code == 0, json.dumps(line)[-1500:]
    return tiny


def values(spark, base):
    rows = spark.read.format("delta").load(str(base / "predictions"))
    keys = ["batch_id", "model_name", "policy_id", "prediction"]
    return rows.select(keys).orderBy(keys[:3]).collect()


def test_predictions_are_those_of_a_classic_session(spark, portfolio, tmp_path):
    twin = portfolio.copy_to(tmp_path)
    shutil.rmtree(twin.base / "predictions")
    twin.must(f"run --batch {FIRST} --batch {SECOND} --stages predict")
    found = values(spark, portfolio.base)
    assert found and found == values(spark, twin.base)


def test_the_ledger_says_that_it_was_connect_and_a_second_run_skips(spark, remote, portfolio):
    rows = portfolio.read(spark, "runs").collect()
    assert {row["application"] for row in rows} == {""}
    code, line = kyros(remote, portfolio, "run", "--batch", FIRST, "--batch", SECOND)
    assert (code, line["status"]) == (0, "skipped")


def test_what_connect_cannot_do_is_named(remote, portfolio, tmp_path):
    twin = portfolio.copy_to(tmp_path)
    boosted = Portfolio(tmp_path / "other").settings["train"]["models"]["boosted"]
    twin.set("train.models", {"boosted": boosted})
    twin.set("predict", {"models": ["boosted"]})
    twin.set("spark.local_rows", 0)
    code, line = kyros(remote, twin, "train")
    assert code == 2
    assert "found Spark Connect, on which xgboost.spark does not run" in line["error"]["message"]
    assert "spark.local_rows" in line["error"]["message"]
    twin.set("spark.local_rows", 120)  # as many as there are: then xgboost runs in this process
    code, line = kyros(remote, twin, "train")
    assert (code, line["details"]["boosted"]["how"]) == (0, "trained")
