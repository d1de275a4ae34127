"""conf/databricks: a bundle whose jobs the service's own types accept, and a notebook that runs."""

import itertools
import json
import pkgutil
import re
import runpy
import string
import sys
import tomllib

import pytest
import yaml
from databricks.bundles.jobs import Job
from deployment import CHAIN, CONF, ROOT, spark_conf
from portfolio import FIRST, SECOND

from kyros_spark.cli import commands
from kyros_spark.cli.parser import parser
from kyros_spark.config import load_config

BUNDLE = yaml.safe_load((CONF / "databricks/databricks.yml").read_text())
JOBS = BUNDLE["resources"]["jobs"]
TASKS = [(name, task) for name, job in JOBS.items() for task in job["tasks"]]


class Braces(string.Template):
    """${var.x} and ${bundle.x}, as the bundle command fills them in."""

    idpattern = r"[a-z][a-z_.]*"


def filled(text):
    names = {f"var.{name}": one["default"] for name, one in BUNDLE["variables"].items()}
    names |= {"bundle.target": "dev", "bundle.name": BUNDLE["bundle"]["name"]}
    for _ in range(3):  # a variable's default may name others
        text = Braces(text).substitute(names)
    return text


def job(name):
    return json.loads(filled(json.dumps(JOBS[name])))


def parsed(task):
    words = filled(json.dumps(task["python_wheel_task"]["parameters"]))
    words = words.replace("{{job.parameters.batch}}", "2026-11-01")
    return parser().parse_args(json.loads(words))


@pytest.mark.parametrize("name", list(JOBS))
def test_the_service_knows_every_field_of_the_job(name):
    body = job(name)
    assert Job.from_dict(body).as_dict().keys() == body.keys()


def test_a_field_that_the_service_does_not_know_would_be_seen():
    body = job("kyros")
    body["tasks"][0]["python_wheel_task"]["parameter"] = []
    with pytest.raises(ValueError, match="Unexpected field .parameter."):
        Job.from_dict(body)


@pytest.mark.parametrize("name", list(JOBS))
def test_the_stages_wait_for_each_other_and_each_is_tried_again(name):
    tasks = JOBS[name]["tasks"]
    assert [task["task_key"] for task in tasks] == list(CHAIN)
    for before, task in itertools.pairwise(tasks):
        assert task["depends_on"] == [{"task_key": before["task_key"]}]
    assert all(task["max_retries"] == 2 for task in tasks)


@pytest.mark.parametrize(
    ("name", "task"), TASKS, ids=lambda v: v if isinstance(v, str) else v["task_key"]
)
def test_every_task_names_its_stage_and_compute_that_the_job_declares(name, task):
    taken = parsed(task)
    assert taken.command == task["task_key"]
    assert taken.batch == (None if taken.command == "train" else "2026-11-01")
    clusters = {one["job_cluster_key"] for one in JOBS[name].get("job_clusters", ())}
    environments = {one["environment_key"] for one in JOBS[name].get("environments", ())}
    assert {task.get("job_cluster_key", task.get("environment_key"))} == clusters | environments


def test_the_tables_go_to_unity_catalog_whatever_the_settings_say():
    taken = parsed(JOBS["kyros"]["tasks"][0])
    tables = load_config(str(CONF / "demo.yaml"), taken.set).tables
    assert (tables.catalog, tables.base) == ("main.pricing", None)
    assert tables.artefact_folder() == "/Volumes/main/pricing/kyros/models"


def test_the_batch_comes_from_the_time_the_schedule_fired_for():
    for one in JOBS.values():
        assert one["parameters"] == [{"name": "batch", "default": "{{job.trigger.time.iso_date}}"}]
        assert one["max_concurrent_runs"] == 1
    states = [one["schedule"]["pause_status"] for one in JOBS.values()]
    assert states == ["UNPAUSED", "PAUSED"]
    assert BUNDLE["targets"]["dev"]["mode"] == "development"
    assert BUNDLE["targets"]["prod"]["mode"] == "production"


def test_the_job_cluster_computes_with_the_settings_of_a_local_session():
    (cluster,) = JOBS["kyros"]["job_clusters"]
    assert cluster["new_cluster"]["spark_conf"].items() <= spark_conf("spark/local.conf").items()


def test_the_wheels_entry_point_fails_the_task_where_the_stage_fails(monkeypatch, capsys):
    (task,) = {t["python_wheel_task"]["entry_point"] for _, t in TASKS}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    entry = pkgutil.resolve_name(scripts[task])
    monkeypatch.setattr(commands, "run_stage", lambda arguments: {"status": "done"})
    monkeypatch.setattr(sys, "argv", ["kyros-job", "clean", "--config=x", "--batch=y"])
    assert entry() is None  # an exit, even with 0, would be a failure there
    monkeypatch.setattr(sys, "argv", ["kyros-job", "clean", "--config=x", "--nonsense"])
    with pytest.raises(SystemExit, match="2"):
        entry()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "failed"


class Widgets:
    def __init__(self, **given):
        self.values = given

    def text(self, name, default):
        self.values.setdefault(name, default)

    def get(self, name):
        return self.values[name]


def test_the_notebook_works_on_the_running_session_and_leaves_it_running(spark, portfolio):
    portfolio.set("predict.unseen_warning_share", 0.5)  # so that predict has something to do
    dbutils = type("DBUtils", (), {"widgets": Widgets(
        config=str(portfolio.config_file()), tables=f"{{base: {portfolio.base}}}", batch=SECOND,
    )})  # fmt: skip
    shown = []
    runpy.run_path(
        str(CONF / "databricks/notebook.py"),
        init_globals={"spark": spark, "dbutils": dbutils, "display": shown.append},
    )
    rows = [tuple(row)[:4] for row in shown[0].collect()]
    assert rows[:3] == [("clean", SECOND, "skipped", 120), ("prepare", SECOND, "skipped", 120),
                        ("train", FIRST, "skipped", 5)]  # fmt: skip
    assert rows[3] == ("predict", SECOND, "done", 120 * 7)
    assert spark.range(1).count() == 1


def test_nothing_here_stops_the_session_or_exits():
    for path in (CONF / "databricks").iterdir():
        assert not re.search(r"\.stop\(|sys\.exit", path.read_text()), path.name
