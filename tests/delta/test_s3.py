"""The chain on s3a:// against an S3 server on loopback: resume, one writer, no secret told.

`make test-s3` fetches Hadoop's S3 jars and names their folder in KYROS_S3A_JARS.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import pytest
from portfolio import FIRST, SECOND, Portfolio
from standalone import SPARK, environment

ROOT = Path(__file__).parents[2]
BUCKET = "book"
SECRET = f"kyros/{uuid.uuid4().hex}"
KEY = "AKIA" + uuid.uuid4().hex[:16].upper()
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "eu-west-1",
}  # fmt: skip

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of moto's in a process of its own; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log.txt").open("w")
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | CREDENTIALS)
    address = f"http://127.0.0.1:{port}"
    try:
        client(address, wait=True).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield address
    finally:
        process.terminate()
        process.wait(30)


def client(address, wait=False):
    made = boto3.client(
        "s3", endpoint_url=address, region_name="eu-west-1",
        aws_access_key_id=KEY, aws_secret_access_key=SECRET,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while wait and time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # not up yet
            made.list_buckets()
            break
        time.sleep(0.2)
    return made


class Job:
    """A spark-submit of `run`, or of another script, with the tables on S3."""

    def __init__(self, portfolio, address, name, *words, conf=(), script=None):
        jars = ",".join(str(jar) for jar in Path(os.environ["KYROS_S3A_JARS"]).glob("*.jar"))
        settings = [
            "spark.hadoop.fs.s3a.path.style.access=true",
            f"spark.hadoop.fs.s3a.endpoint={address}",
            "spark.hadoop.fs.s3a.endpoint.region=eu-west-1",
            "spark.hadoop.fs.s3a.connection.ssl.enabled=false",
            *conf,
        ]
        command = [
            SPARK / "bin/spark-submit", "--properties-file", ROOT / "conf/spark/local.conf",
            "--jars", jars, *(part for one in settings for part in ("--conf", one)),
            *(script or (ROOT / "jobs/run.py", "--config", portfolio.config_file())), *words,
        ]  # fmt: skip
        self.out, self.log = (portfolio.folder / f"{name}.{end}" for end in ("out", "log"))
        with self.out.open("w") as out, self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=out, stderr=log,
                cwd=portfolio.folder, start_new_session=True,
                env=environment(**CREDENTIALS, PYTHONPATH=str(ROOT)),
            )  # fmt: skip

    def line(self):
        """Wait for the end; return the result line."""
        self.process.wait(timeout=500)
        return json.loads(self.out.read_text().splitlines()[-1])

    def told(self):
        return self.out.read_text() + self.log.read_text()

    def kill_once(self, pattern):
        """Kill driver and JVM as soon as the log says so."""
        while self.process.poll() is None:
            if re.search(pattern, self.told()):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                return
            time.sleep(0.05)
        raise AssertionError(f"ended without saying {pattern}: {self.told()[-3000:]}")


@pytest.fixture(scope="module")
def portfolio(server, tmp_path_factory):
    """The tiny portfolio with its tables in the bucket; small micro-batches."""
    made = Portfolio(tmp_path_factory.mktemp("s3")).write_sources()
    made.set("tables.base", f"s3a://{BUCKET}/tables")
    made.set("tables.rows_per_file", 30)
    made.set("predict.rows_per_micro_batch", 60)
    made.set("train.models.boosted", None)
    made.settings["predict"]["models"].remove("boosted")
    return made


@pytest.fixture(scope="module")
def killed(portfolio, server):
    """A chain that was killed behind its first micro-batch, and the line of the one after it."""
    job = Job(portfolio, server, "killed", "--batch", FIRST)
    job.kill_once(rf"predict {FIRST}: micro-batch 1 of \d+ written")
    return Job(portfolio, server, "again", "--batch", FIRST).line()


def objects(address, prefix=""):
    pages = client(address).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", ())]


def test_a_killed_chain_goes_on_where_it_stopped(killed):
    assert killed["status"] == "done", killed
    steps = {step["stage"]: step for step in killed["steps"]}
    assert {s: steps[s]["status"] for s in ("clean", "prepare", "train")} == {
        "clean": "skipped", "prepare": "skipped", "train": "skipped"
    }  # fmt: skip
    assert steps["predict"]["status"] == "done"


def test_the_dead_drivers_lease_was_waited_for_and_taken_over(killed, portfolio):
    log = (portfolio.folder / "again.log").read_text()
    assert "waiting up to 30 s to see whether it is alive" in log
    assert "gave no sign of life" in log


def predictions(server, spark, folder):
    """Download table predictions, and return each prediction by model and policy."""
    for key in objects(server, "tables/predictions/"):
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        client(server).download_file(BUCKET, key, str(target))
    return by_policy(spark.read.format("delta").load(str(folder / "tables/predictions")))


def by_policy(rows):
    keys = ["model_name", "policy_id", "prediction"]
    return {
        (row[0], row[1]): row[2]
        for row in rows.where(rows.batch_id == FIRST).select(keys).collect()
    }


def test_predictions_are_those_of_local_tables(
    killed, portfolio, server, finished, spark, tmp_path
):
    expected = finished.read(spark, "predictions", FIRST).where("model_name != 'boosted'")
    found = predictions(server, spark, tmp_path)
    assert len(found) == 6 * 120
    assert found == pytest.approx(by_policy(expected))


def test_tasks_read_and_write_the_files_themselves_and_predict_the_same_bits(
    killed, portfolio, server, spark, tmp_path
):
    before = predictions(server, spark, tmp_path / "before")
    words = ["--set", "predict.read=direct", "--set", "predict.unseen_warning_share=0.4"]
    script = [ROOT / "jobs/predict.py", "--config", portfolio.config_file(), "--batch", FIRST]
    line = Job(portfolio, server, "direct", *words, script=script).line()
    assert line["status"] == "done", line
    assert line["details"]["read"] == {"by": "files"}
    assert predictions(server, spark, tmp_path / "after") == before


def test_where_hadoop_reaches_the_store_in_its_own_way_spark_reads(killed, portfolio, server):
    words = ["--set", "predict.read=direct", "--set", "predict.unseen_warning_share=0.45"]
    script = [ROOT / "jobs/predict.py", "--config", portfolio.config_file(), "--batch", FIRST]
    conf = ["spark.hadoop.fs.s3a.requester.pays.enabled=true"]
    line = Job(portfolio, server, "own-way", *words, script=script, conf=conf).line()
    assert line["status"] == "done", line
    assert "fs.s3a.requester.pays.enabled" in json.dumps(line["details"]["read"])


def test_a_second_driver_is_refused_while_the_first_writes_and_nothing_is_lost(
    killed, portfolio, server
):
    first = Job(portfolio, server, "first", "--batch", SECOND)
    deadline = time.monotonic() + 200
    while "clean 2024: write" not in first.told() and time.monotonic() < deadline:
        time.sleep(0.1)
    second = Job(portfolio, server, "second", "--batch", SECOND).line()
    line = first.line()
    assert line["status"] == "done", json.dumps(line.get("error"))
    if second["status"] == "failed":  # else it came after the end of the first
        assert second["error"]["type"] == "ConcurrentRunError"
        assert "one driver at a time" in second["error"]["message"]
    again = Job(portfolio, server, "third", "--batch", SECOND).line()
    assert again["status"] == "skipped"


def test_a_lease_is_read_whole_while_its_holder_changes_it(portfolio, server):
    words = [Path(__file__).with_name("read_while_replaced.py"), f"s3a://{BUCKET}/lease"]
    line = Job(portfolio, server, "read", script=words).line()
    assert line == {"read": 100, "whole": 100, "absent": None}


def test_no_log_setting_or_ledger_row_holds_a_credential(killed, portfolio, server):
    texts = {path.name: path.read_bytes() for path in portfolio.folder.iterdir() if path.is_file()}
    for key in objects(server):
        texts[key] = client(server).get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert any("runs/_delta_log" in name for name in texts)
    told = [name for name, text in texts.items() if SECRET.encode() in text or KEY.encode() in text]
    assert not told


def test_a_bucket_that_is_not_there_is_named(portfolio, server, tmp_path):
    twin = Portfolio(tmp_path).write_sources()
    twin.set("tables.base", "s3a://no-such-bucket/tables")
    line = Job(twin, server, "nowhere", "--batch", FIRST).line()
    assert line["status"] == "failed"
    assert line["error"]["type"] == "PlatformError", line
    assert "no-such-bucket" in line["error"]["message"]
