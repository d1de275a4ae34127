"""Alarms are posted to an address that only an environment variable knows; no fault of it counts."""

import contextlib
import http.server
import json
import logging
import threading

import pytest

from kyros_spark.config import DriftRule, WebhookSettings
from kyros_spark.monitoring.comparison import Comparison
from kyros_spark.monitoring.profile import Subject
from kyros_spark.monitoring.rules import BASELINE, Alarm, DriftRow
from kyros_spark.runs.run import Run
from kyros_spark.stages.monitor.webhook import post

SECRET = "T0K3N"
SETTINGS = WebhookSettings(url_env="KYROS_TEST_WEBHOOK", timeout_seconds=0.5)


def alarm(severity="warning", in_turn=1):
    rule = DriftRule(metric="psi", threshold=0.1, severity=severity)
    comparison = Comparison({"population_stability_index": 0.4}, new_levels=("EV",))
    row = DriftRow(Subject("fuel"), BASELINE, "2025", comparison)
    return Alarm(rule, row, 0.4, in_turn)


@contextlib.contextmanager
def server(status):
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/{SECRET}", received
        listening.shutdown()


def posted(monkeypatch, address, *alarms, settings=SETTINGS):
    monkeypatch.setenv(settings.url_env, address)
    post(settings, "motor", Run("monitor", "2026", "r1"), alarms)


def test_alarms_that_are_due_are_posted_as_slack_and_teams_take_them(monkeypatch):
    with server(200) as (address, received):
        posted(monkeypatch, address, alarm(), alarm(in_turn=0))
    ((path, content),) = received
    assert path == f"/{SECRET}" and content["batch"] == "2026"
    assert content["text"].splitlines() == [
        "motor, batch 2026: 1 rules of monitor are broken",
        "- warning: fuel: psi 0.4 against batch 2025, expected at most 0.1; new levels: EV",
    ]
    assert [entry["column"] for entry in content["alarms"]] == ["fuel"]


def test_what_is_less_severe_than_asked_for_is_not_posted(monkeypatch):
    critical = WebhookSettings(url_env="KYROS_TEST_WEBHOOK", severity="critical")
    with server(200) as (address, received):
        posted(monkeypatch, address, alarm(), settings=critical)
        assert received == []
        posted(monkeypatch, address, alarm(), alarm("critical"), settings=critical)
    assert [a["severity"] for _, content in received for a in content["alarms"]] == ["critical"]


@pytest.mark.parametrize("fault", ["down", "refuses", "no address", "not http"])
def test_a_dead_receiver_is_told_without_its_address(fault, monkeypatch, caplog):
    with server(500) as (address, _):
        address = {"down": f"http://127.0.0.1:9/{SECRET}", "no address": "",
                   "not http": f"file:///{SECRET}"}.get(fault, address)  # fmt: skip
        with caplog.at_level(logging.WARNING, "kyros_spark"):
            posted(monkeypatch, address, alarm())
    (record,) = caplog.records
    assert "KYROS_TEST_WEBHOOK" in record.getMessage() and SECRET not in record.getMessage()
