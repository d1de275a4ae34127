"""The chain by spark-submit on a standalone cluster, the package in the workers' own environment.

`make test-cluster` builds the wheel and names it in KYROS_WHEEL; without that this is not collected.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest
from portfolio import FIRST, SECOND, Portfolio
from standalone import SPARK, cluster, environment

from kyros_spark import environment as code

ROOT = Path(__file__).parents[2]
BACKEND = "CoarseGrainedExecutorBackend"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter with the wheel installed, and this one's libraries beside it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([sys.executable, *install, packages, os.environ["KYROS_WHEEL"]], check=True)
    # A .pth of a .pth is not followed: the checkout, installed editable, stays out of it.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def place(python, tmp_path_factory):
    """The cluster, with a portfolio that it has taken from extract to predictions."""
    folder = tmp_path_factory.mktemp("cluster")
    env = environment(python, KYROS_MODEL_CACHE=str(folder / "models-of-host"))
    with cluster(folder, {"one": env, "two": env}) as url:
        portfolio = Portfolio(folder / "tiny").write_sources()
        done = submit(url, env, "run", portfolio, "--batch", FIRST, "--batch", SECOND).communicate()
        yield folder, url, env, portfolio, json.loads(done[0].splitlines()[-1])


def submit(url, env, job, portfolio, *words, conf=()):
    """Start a job as a user would, from a folder that holds no source of ours."""
    command = [
        SPARK / "bin/spark-submit", "--properties-file", ROOT / "conf/spark/local.conf",
        "--master", url, "--deploy-mode", "client", "--executor-cores", "1",
        "--executor-memory", "700m", "--driver-memory", "1g", *conf,
        ROOT / f"jobs/{job}.py", "--config", portfolio.config_file(), *words,
    ]  # fmt: skip
    log = (portfolio.folder / f"{job}.log").open("w")
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=portfolio.folder,
        env=env,
    )


def values(spark, portfolio, base):
    rows = spark.read.format("delta").load(str(base / "predictions"))
    keys = ["batch_id", "model_name", "policy_id", "prediction"]
    return rows.select(keys).orderBy(keys[:3]).collect()


@pytest.fixture(scope="module")
def local(spark, place, tmp_path_factory):
    """What a local session predicts from the same prepared batches and models."""
    twin = place[3].copy_to(tmp_path_factory.mktemp("local"))
    shutil.rmtree(twin.base / "predictions")
    twin.must(f"run --batch {FIRST} --batch {SECOND} --stages predict")
    return values(spark, twin, twin.base)


def test_the_chain_ran_on_both_executors_from_the_wheel(spark, place):
    folder, _, _, portfolio, line = place
    assert line["status"] == "done", line
    assert all(list((folder / name).glob("app-*/*/stderr")) for name in ("one", "two"))
    (row,) = portfolio.read(spark, "runs").where("stage = 'train'").collect()
    assert row["git_commit"] == "" and row["code_hash"] == code.code_hash()


def test_its_predictions_are_those_of_a_local_session(spark, place, local):
    found = values(spark, place[3], place[3].base)
    assert len(found) == len(local) == 2 * 7 * 120
    assert found == local


def test_two_executors_share_one_file_a_model(place):
    kept = [path.stem for path in (place[0] / "models-of-host").glob("*.model")]
    assert kept and len(kept) == len(set(kept))
    assert len(kept) <= 7  # one a model, not one a model and executor


def test_tasks_read_and_write_the_files_themselves_and_predict_the_same_bits(spark, place, local):
    _, url, env, portfolio, _ = place
    shutil.rmtree(portfolio.base / "predictions")
    job = submit(
        url, env, "run", portfolio, "--stages", "predict", "--batch", FIRST, "--batch", SECOND,
        "--set", "predict.read=direct",
    )  # fmt: skip
    line = json.loads(job.communicate(timeout=300)[0].splitlines()[-1])
    assert line["status"] == "done", line
    last = (
        portfolio.read(spark, "runs").where("stage = 'predict'").orderBy("ordinal").collect()[-2:]
    )
    assert [json.loads(row["details"])["read"] for row in last] == [{"by": "files"}] * 2
    assert values(spark, portfolio, portfolio.base) == local


def test_a_killed_executor_costs_retries_not_results(spark, place, local):
    folder, url, env, portfolio, _ = place
    shutil.rmtree(portfolio.base / "predictions")
    events = folder / "events"
    events.mkdir()
    settings = {"enabled": "true", "dir": f"file:{events}", "compress": "false"}
    conf = [part for k, v in settings.items() for part in ("--conf", f"spark.eventLog.{k}={v}")]
    job = submit(
        url, env, "run", portfolio, "--stages", "predict", "--batch", FIRST, "--batch", SECOND,
        "--set", "spark.local_rows=0", conf=conf,
    )  # fmt: skip
    killed = kill_the_executor_that_scores(folder, job)
    line = json.loads(job.communicate(timeout=300)[0].splitlines()[-1])
    assert killed and line["status"] == "done", line
    lost = [
        json.loads(text)["Task End Reason"]["Reason"]
        for log in events.rglob("*")
        if log.is_file()
        for text in log.read_text().splitlines()
        if '"Event":"SparkListenerTaskEnd"' in text
    ]
    assert "ExecutorLostFailure" in lost
    assert values(spark, portfolio, portfolio.base) == local


def kill_the_executor_that_scores(folder, job):
    """Kill, as the kernel would, the first executor of our workers that starts Python."""
    while job.poll() is None:
        found = processes()
        for parent, command in found.values():
            worker, executor = found.get(parent, (0, ""))
            ours = str(folder) in found.get(worker, (0, ""))[1]
            if "pyspark.daemon" in command and BACKEND in executor and ours:
                os.kill(parent, signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


def processes():
    """Return (parent, command line) of every process on this machine, by its id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue
            found[int(entry.name)] = (parent, command)
    return found
