"""What only looks at tables on this machine's disks says without Spark what it says with Spark."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from portfolio import FIRST, SECOND

from kyros_spark.config import load_config
from kyros_spark.operations.health import health
from kyros_spark.operations.list_models import listed
from kyros_spark.operations.status import status
from kyros_spark.spark.deferred import can_wait, deferred

NO_JAVA = {"JAVA_HOME": "/nonexistent", "KYROS_SESSION": "off"}


def no_spark():
    raise AssertionError("Spark was asked")


def unchanged(portfolio):
    pass


def settings(portfolio):
    portfolio.set("predict.unseen_warning_share", 0.5)


def extract(portfolio):
    portfolio.spoil_cells("age", {3: "33"}, batch=SECOND)


def failure(portfolio):
    portfolio.spoil(lambda text: text.replace("policy,client", "policy,customer", 1), batch=SECOND)
    assert portfolio.kyros(f"clean --batch {SECOND}").code == 3


def evaluated(portfolio):
    portfolio.must(f"evaluate --batch {FIRST} --set evaluate.report=false")
    portfolio.set("evaluate.report", False)


@pytest.mark.repeats
@pytest.mark.parametrize("change", [failure, unchanged, settings, extract, evaluated])
def test_all_is_said_as_by_spark(portfolio, spark, change):
    change(portfolio)
    config = load_config(str(portfolio.config_file()))
    waiting = deferred(no_spark)
    # What Spark has to be asked once, is kept for whoever asks next.
    expected = (status(spark, config), listed(spark, config), health(spark, config))
    answers = (status(waiting, config), listed(waiting, config), health(waiting, config))
    for answer, other in zip(answers, expected, strict=True):
        assert without_times(answer) == without_times(other)


def without_times(answer):
    """Return what was said as JSON, without the moment of asking."""
    if isinstance(answer, list):
        return [one if isinstance(one, str) else asdict(one) for one in answer]
    said = {name: value for name, value in asdict(answer).items() if name != "now"}
    return {**said, "runs": [{**run, "age_hours": None} for run in said["runs"]]}


def test_a_table_of_another_kind_is_left_to_spark(portfolio, spark):
    config, asked = load_config(str(portfolio.config_file())), []

    def start():
        asked.append(True)
        return spark

    table = f"delta.`{portfolio.base}/models`"
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    expected = listed(spark, config)
    for file in (portfolio.base / "_kyros_kept").glob("*models*"):
        file.unlink()
    assert listed(deferred(start), config) == expected and asked


def test_the_commands_answer_on_a_machine_without_java(finished):
    shown = {}
    for command in ("models", "status", "health"):
        words = [sys.executable, "-m", "kyros_spark", command]
        done = subprocess.run(
            [*words, "--config", str(finished.config_file())],
            env={**os.environ, **NO_JAVA, "PATH": os.path.dirname(sys.executable)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        shown[command] = json.loads(done.stdout.splitlines()[-1])
    assert shown["models"]["models"] == 5
    assert shown["status"]["counts"] == {"current": 9}
    assert shown["health"]["verdict"] == "nominal"


@pytest.mark.parametrize(
    ("changed", "environment"),
    [
        ({}, {"HADOOP_CONF_DIR": "/etc/hadoop/conf"}),
        ({}, {"SPARK_REMOTE": "sc://cluster"}),
        ({"spark.conf": {"spark.hadoop.fs.defaultFS": "hdfs://name:8020"}}, {}),
        ({"tables.base": "s3a://bucket/tables"}, {}),
    ],
)
def test_where_a_plain_path_may_be_elsewhere_spark_is_started(
    portfolio, changed, environment, monkeypatch
):
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    assert can_wait(load_config(str(portfolio.config_file())))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for path, value in changed.items():
        portfolio.set(path, value)
    assert not can_wait(load_config(str(portfolio.config_file())))
