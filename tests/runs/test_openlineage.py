"""A catalogue is told of every run by OpenLineage's own rules; no fault of it fails a stage."""

import contextlib
import http.server
import json
import logging
import os
import threading
import uuid
from datetime import datetime

import pytest
from portfolio import FIRST, SECOND

from kyros_spark.config import load_config
from kyros_spark.errors import ConfigError
from kyros_spark.runs.openlineage import _named

SECRET = "T0K3N"
ADDRESS = "KYROS_TEST_LINEAGE"
ENDS = {"COMPLETE", "FAIL", "ABORT"}


@contextlib.contextmanager
def catalogue(status=200):
    """Yield the address of a server on loopback, and what it receives."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((self.path, self.headers.get("Authorization"), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", received
        listening.shutdown()


@pytest.fixture
def told(portfolio, monkeypatch):
    portfolio.set("monitor.openlineage", {"url_env": ADDRESS, "timeout_seconds": 1})
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    with catalogue() as (address, received):
        monkeypatch.setenv(ADDRESS, address)
        yield portfolio, received


def check_event(event):
    """Hold an event to what the specification requires of each one."""
    uuid.UUID(event["run"]["runId"])
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert event["schemaURL"].startswith("https://openlineage.io/spec/")
    assert ":" in event["producer"] and " " not in event["producer"]
    assert event["job"]["namespace"] and event["job"]["name"]
    facets = [event["run"]["facets"], event["job"]["facets"]]
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset["namespace"] and dataset["name"]
        facets += [dataset.get("facets", {}), dataset.get("outputFacets", {})]
    for facet in (facet for group in facets for facet in group.values()):
        assert facet["_producer"] and facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def names(datasets):
    return [(one["namespace"], os.path.basename(one["name"])) for one in datasets]


def test_each_step_begins_and_ends_with_what_it_reads_and_writes(told, spark):
    portfolio, received = told
    portfolio.set("predict.unseen_warning_share", 0.5)
    line = portfolio.kyros(f"run --batch {SECOND}").line
    done = [step["stage"] for step in line["steps"] if step["status"] == "done"]
    events = [event for _, _, event in received]
    assert {(path, key) for path, key, _ in received} == {("/api/v1/lineage", f"Bearer {SECRET}")}
    assert [(e["job"]["name"], e["eventType"]) for e in events] == [
        (f"tiny.{stage}", state) for stage in done for state in ("START", "COMPLETE")
    ]
    assert done == ["predict", "monitor"]
    for event in events:
        check_event(event)
    started, ended = events[:2]
    assert started["run"]["runId"] == ended["run"]["runId"] != events[2]["run"]["runId"]
    assert names(ended["inputs"]) == [("file", "prepared"), ("file", "models")]
    assert names(ended["outputs"]) == [("file", "predictions")]
    (written,) = ended["outputs"]
    step = next(step for step in line["steps"] if step["stage"] == "predict")
    row = portfolio.read(spark, "runs").where(f"run_id = '{step['run_id']}'").first()
    assert written["facets"]["version"]["datasetVersion"] == str(row["outputs"]["predictions"])
    count = portfolio.read(spark, "predictions", SECOND).count()
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == count
    tags = {tag["key"]: tag["value"] for tag in ended["run"]["facets"]["tags"]["tags"]}
    assert tags.items() >= {"run_id": step["run_id"], "batch": SECOND}.items()


def test_a_failure_is_told_with_its_error(told):
    portfolio, received = told
    portfolio.spoil(lambda text: text.replace("policy,client", "policy,customer", 1), batch=FIRST)
    failed = portfolio.kyros(f"clean --batch {FIRST}")
    assert failed.code == 3
    started, ended = (event for _, _, event in received)
    assert (started["eventType"], ended["eventType"]) == ("START", "FAIL")
    assert failed.message in ended["run"]["facets"]["errorMessage"]["message"]
    assert names(ended["inputs"]) == [
        ("file", f"policies_{FIRST}.csv"), ("file", f"claims_{FIRST}.csv")
    ]  # fmt: skip
    check_event(ended)


@pytest.mark.parametrize("fault", ["down", "refuses", "no address"])
def test_no_fault_of_the_catalogue_fails_a_stage_or_shows_its_address(
    portfolio, monkeypatch, caplog, fault
):
    portfolio.set("monitor.openlineage", {"url_env": ADDRESS, "timeout_seconds": 1})
    portfolio.set("predict.unseen_warning_share", 0.5)
    with catalogue(status=503) as (address, _), caplog.at_level(logging.INFO):
        addresses = {"refuses": f"{address}/{SECRET}", "down": f"http://127.0.0.1:9/{SECRET}"}
        monkeypatch.setenv(ADDRESS, addresses.get(fault, ""))
        assert portfolio.must(f"predict --batch {SECOND}")["status"] == "done"
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if f"{ADDRESS} did not take START of predict" in text]
    assert SECRET not in "".join(said)


def test_what_is_current_tells_nothing_and_the_setting_makes_nothing_stale(told):
    portfolio, received = told
    steps = portfolio.must(f"run --batch {SECOND}")["steps"]
    assert {step["status"] for step in steps} == {"skipped"}
    assert received == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/tables/runs", ("file", "/data/tables/runs")),
        ("file:///data/tables/runs", ("file", "/data/tables/runs")),
        ("s3a://bucket/kyros/runs", ("s3://bucket", "kyros/runs")),
        (
            "abfss://c@a.dfs.core.windows.net/k/runs",
            ("abfss://c@a.dfs.core.windows.net", "/k/runs"),
        ),
        ("main.pricing.runs", ("motor", "main.pricing.runs")),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(address, name):
    assert _named(address, "motor") == name


def test_an_address_in_the_settings_is_refused(portfolio):
    portfolio.set("monitor.openlineage", {"url_env": "https://catalogue:5000"})
    with pytest.raises(ConfigError, match="the name of an environment variable"):
        load_config(str(portfolio.config_file()))
