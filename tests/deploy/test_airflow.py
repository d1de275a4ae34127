"""conf/airflow: DAGs that Airflow loads, whose requests the services accept, and one that runs."""

import json
import os
import re
import subprocess
import sys

import pytest
from deployment import CHAIN, CONF, ROOT
from portfolio import CLAIM_HEADER, FIRST, POLICY_HEADER, Portfolio, claim_rows, policy_rows
from service_model import faults

from kyros_spark.cli.parser import parser
from kyros_spark.spark.runtime import find_java

DAGS = sorted(path.stem for path in (CONF / "airflow").glob("*.py"))
AIRFLOW = ROOT / ".venv-airflow/bin"
MONTH = "2023-01"

# Prints each DAG's tasks, their upstream tasks and rendered fields, for the interval of January.
PROGRAM = """
import json, sys
import pendulum
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
start = pendulum.datetime(2023, 1, 1, 4, tz="UTC")
told = {"errors": bag.import_errors, "dags": {}}
for name, dag in bag.dags.items():
    class Variables:
        value = type("V", (), {"get": staticmethod(lambda key, default: default),
            "kyros_bucket": "an-insurer", "kyros_application_id": "00f1abcdefghij01",
            "kyros_role_arn": "arn:aws:iam::123456789012:role/kyros"})
    for task in dag.tasks:
        task.render_template_fields({"data_interval_start": start, "var": Variables, "task": task,
                                     "params": {}})
    told["dags"][name] = {t.task_id: {"upstream": sorted(t.upstream_task_ids), "retries": t.retries,
        **{f: getattr(t, f, None) for f in t.template_fields}} for t in dag.tasks}
print(json.dumps(told, default=str))
"""


@pytest.mark.parametrize("name", DAGS)
def test_a_dag_is_named_as_its_file_and_takes_its_month_from_the_data_interval(name):
    text = (CONF / f"airflow/{name}.py").read_text()
    compile(text, name, "exec")
    assert f'"{name}",' in text and "data_interval_start.strftime('%Y-%m')" in text
    assert '"retries": 2' in text and "max_active_runs=1" in text
    assert "ds }}" not in text and "now()" not in text


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Airflow's environment: a home of its own with an empty database, and our DAGs."""
    folder = tmp_path_factory.mktemp("airflow")
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CONF / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "JAVA_HOME": str(find_java().home),
    }
    return env


def airflow(env, *words):
    done = subprocess.run(
        [str(AIRFLOW / words[0]), *map(str, words[1:])],
        capture_output=True, text=True, env=env, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def loaded(home):
    told = airflow(home, "python", "-c", PROGRAM, CONF / "airflow")
    return json.loads(told.splitlines()[-1])


@pytest.mark.airflow
def test_airflow_loads_every_dag(loaded):
    assert loaded["errors"] == {} and sorted(loaded["dags"]) == DAGS


@pytest.mark.airflow
@pytest.mark.parametrize("name", ["kyros_local", "kyros_emr_serverless"])
def test_the_stages_wait_for_each_other_and_each_is_tried_again(loaded, name):
    tasks = loaded["dags"][name]
    assert list(tasks) == list(CHAIN)
    assert [tasks[one]["upstream"] for one in CHAIN] == [[], *([one] for one in CHAIN[:-1])]
    assert all(task["retries"] == 2 for task in tasks.values())


@pytest.mark.airflow
@pytest.mark.parametrize("stage", CHAIN)
def test_emr_serverless_accepts_what_the_operator_sends(loaded, stage):
    task = loaded["dags"]["kyros_emr_serverless"][stage]
    sent = {
        "applicationId": task["application_id"],
        "executionRoleArn": task["execution_role_arn"],
        "name": task["name"],
        "jobDriver": task["job_driver"],
        "configurationOverrides": task["configuration_overrides"],
    }
    assert faults("emr-serverless", "StartJobRun", sent) == []
    driver = task["job_driver"]["sparkSubmit"]
    assert (ROOT / "jobs" / driver["entryPoint"].rpartition("/")[2]).is_file()
    taken = parser().parse_args([stage, *driver["entryPointArguments"]])
    assert taken.batch == (None if stage == "train" else MONTH)


@pytest.mark.airflow
def test_databricks_runs_the_bundles_job_on_the_month(loaded):
    (task,) = loaded["dags"]["kyros_databricks"].values()
    assert (task["job_name"], task["job_parameters"]) == ("kyros-prod", {"batch": MONTH})


@pytest.fixture
def monthly(home, tmp_path):
    """The tiny portfolio as the extract of one month, and Airflow's variables that point to it."""
    portfolio = Portfolio(tmp_path / "portfolio").write_sources()
    portfolio.write("policies", POLICY_HEADER, policy_rows(FIRST), MONTH)
    portfolio.write("claims", CLAIM_HEADER, claim_rows(FIRST), MONTH)
    portfolio.set("batches", [MONTH])
    portfolio.set("sources.claims.batches", [MONTH])
    portfolio.set("train.batches", [MONTH])
    portfolio.set("train.models", {"frequency": portfolio.settings["train"]["models"]["frequency"]})
    portfolio.set("predict", {"models": ["frequency"]})
    submit = f"{sys.prefix}/bin/spark-submit --properties-file {CONF}/spark/local.conf"
    return portfolio, home | {
        "AIRFLOW_VAR_KYROS_CONFIG": str(portfolio.config_file()),
        "AIRFLOW_VAR_KYROS_JOBS": str(ROOT / "jobs"),
        "AIRFLOW_VAR_KYROS_SUBMIT": f"{submit} --driver-memory 1g",
    }


@pytest.mark.airflow
def test_the_local_dag_goes_from_extract_to_predictions_and_a_retry_changes_nothing(monthly):
    portfolio, env = monthly
    airflow(env, "airflow", "db", "migrate")
    airflow(env, "airflow", "dags", "test", "kyros_local", "2023-02-01T04:00:00")
    log = portfolio.base / "predictions/_delta_log"
    commits = sorted(path.name for path in log.glob("*.json"))
    assert len(commits) >= 2
    told = airflow(env, "airflow", "tasks", "test", "kyros_local", "predict", "2023-02-01T04:00:00")
    assert re.search(r'"status": "skipped".*"batch": "2023-01"', told)
    assert sorted(path.name for path in log.glob("*.json")) == commits
