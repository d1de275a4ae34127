"""Metrics reach real Prometheus, and a drifted batch reaches the webhook of a real Alertmanager."""

import json
import logging
import os
import re
import subprocess
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import yaml
from deployment import metrics_in
from servers import free_port, program, receiver, text_of, wait_for

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import MonitorSettings, PrometheusSettings
from kyros_spark.errors import DriftError, GateError
from kyros_spark.monitoring.baseline import frozen_baseline
from kyros_spark.monitoring.comparison import compared
from kyros_spark.monitoring.profile import Subject
from kyros_spark.monitoring.rules import BASELINE, DriftRow
from kyros_spark.runs import prometheus
from kyros_spark.runs.metrics import HELP, samples
from kyros_spark.runs.run import Run
from kyros_spark.stages.monitor.account import judge, scores

pytestmark = pytest.mark.monitor

CONF = Path(__file__).parents[2] / "conf" / "prometheus"
BIN = Path(os.environ.get("KYROS_PROMETHEUS", "build/prometheus/usr/bin")).absolute()
PORTFOLIO = "motor 2026"


def ended(stage, status="done", error=None, **facts):
    run = Run(stage, "2026-11", "r1", status=status, error=error, ended=time.time(), **facts)
    run.resources = {"processor": 12.5, "rows_per_second": 40_000.0} if status == "done" else {}
    return run


def drifted():
    """A run of monitor on a batch whose ages are in months and whose predictions have doubled."""
    rng, ones = np.random.default_rng(1), np.ones(5000)
    before = pa.table({"exposure": ones, "age": rng.integers(18, 90, 5000) * 1.0,
                       "prediction": rng.gamma(2, 0.05, 5000)})  # fmt: skip
    after = pa.table({"exposure": ones, "age": rng.integers(18, 90, 5000) * 12.0,
                      "prediction": rng.gamma(2, 0.1, 5000)})  # fmt: skip
    settings = MonitorSettings()
    frozen = frozen_baseline("k", DriverRows(before), {"age": True, "prediction": True}, settings)
    plan = frozen.plan
    now = plan.profile(DriverRows(after).aggregate(plan.columns, plan.state))
    subjects = {
        "age": Subject("age"),
        "prediction": Subject("prediction", model="glm", version="1"),
    }
    rows = [
        DriftRow(subjects[s.column], BASELINE, "2025",
                 compared(plan.bins[s.column], histogram, frozen.profile[s]))
        for s, histogram in now.items()
    ]  # fmt: skip
    run = ended("monitor")
    judge(run, settings, rows, None)
    run.details |= scores(rows)
    return run


def handed_on(settings, *runs):
    for run in runs:
        prometheus.export(settings, PORTFOLIO, run.stage, samples(run, PORTFOLIO))


def test_rules_are_as_promtool_takes_them_and_fire_as_their_tests_say():
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run([BIN / "promtool", *words], cwd=CONF, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_asks_for_metrics_that_there_are():
    rules = yaml.safe_load((CONF / "rules.yml").read_text())
    alerts = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((CONF / "rules_test.yml").read_text())["tests"]
    fired = {t["alertname"] for test in tests for t in test["alert_rule_test"] if t["exp_alerts"]}
    assert fired == set(alerts)
    for alert, expression in alerts.items():
        names = metrics_in(expression)
        assert names and names <= set(HELP), alert


@contextmanager
def gateway_and_prometheus(folder, **configuration):
    """Run both, the second reading the first each second; yield both addresses."""
    gateway, prom = (f"127.0.0.1:{free_port()}" for _ in range(2))
    scraped = {"job_name": "push", "honor_labels": True, "static_configs": [{"targets": [gateway]}]}
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [scraped], **configuration,
    }))  # fmt: skip
    with (
        program(BIN / "prometheus-pushgateway", f"--web.listen-address={gateway}",
                log=folder / "gateway.log", ready=f"http://{gateway}/-/ready"),
        program(BIN / "prometheus", f"--web.listen-address={prom}",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                log=folder / "prometheus.log", ready=f"http://{prom}/-/ready"),
    ):  # fmt: skip
        yield f"http://{gateway}", f"http://{prom}"


def test_a_drifted_batch_reaches_the_webhook(tmp_path):
    """All of it is real; only `for` is shortened, which promtool's tests try at full length."""
    alerts = f"127.0.0.1:{free_port()}"
    rules = re.sub(r"for: \d+m", "for: 1s", (CONF / "rules.yml").read_text())
    (tmp_path / "rules.yml").write_text(rules)
    alerting = {"alertmanagers": [{"static_configs": [{"targets": [alerts]}]}]}
    with receiver() as (address, received):
        (tmp_path / "alertmanager.yml").write_text(json.dumps({
            "route": {"receiver": "hook", "group_wait": "1s"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": address}]}],
        }))  # fmt: skip
        with (
            program(BIN / "prometheus-alertmanager", f"--web.listen-address={alerts}",
                    f"--config.file={tmp_path / 'alertmanager.yml'}",
                    f"--storage.path={tmp_path / 'alerts'}", "--cluster.listen-address=",
                    folder=BIN.parents[1], log=tmp_path / "alerts.log",
                    ready=f"http://{alerts}/-/ready"),
            gateway_and_prometheus(tmp_path, rule_files=["rules.yml"], alerting=alerting) as (
                gateway,
                _,
            ),
        ):  # fmt: skip
            handed_on(
                PrometheusSettings(pushgateway=gateway), ended("predict", rows_in=5000), drifted()
            )

            def names():
                return {
                    (alert["labels"]["alertname"], alert["labels"].get("model"))
                    for message in list(received)
                    for alert in message["alerts"]
                    if alert["labels"]["portfolio"] == PORTFOLIO
                }

            expected = {("ModelPredictionDrift", "glm"), ("KyrosDriftCritical", None)}
            wait_for(lambda: names() >= expected, why=f"expected {expected}, found {names()}")
    assert not {name for name, _ in names()} & {"KyrosStageFailed", "KyrosNoRun", "KyrosStageStale"}


def test_every_panel_of_the_dashboard_has_an_answer(tmp_path):
    panels = json.loads((CONF.parent / "grafana/kyros.json").read_text())["panels"]
    asked = {t["expr"].replace("$portfolio", PORTFOLIO) for p in panels for t in p["targets"]}
    with gateway_and_prometheus(tmp_path) as (gateway, server):
        run = drifted()
        run.details["actual_expected"] = {"glm": [1.1, 1.05, 1.15]}
        predicted = ended("predict", rows_in=5000, rows_out=5000)
        settings = PrometheusSettings(pushgateway=gateway)
        handed_on(settings, ended("clean", rows_in=10, rows_rejected=1), run)
        latest = SimpleNamespace(ordinal=1, details={}, seconds=2.0, rows_out=5000)
        prometheus.export(settings, PORTFOLIO, "predict", samples(predicted, PORTFOLIO, [latest]))

        def unanswered():
            answers = {e: _query(server, e)["data"]["result"] for e in asked}
            return {expression for expression, result in answers.items() if not result}

        wait_for(lambda: not unanswered(), why="a panel of the dashboard stays empty")


def _query(server, expression):
    words = urllib.parse.urlencode({"query": expression})
    return json.loads(text_of(f"{server}/api/v1/query?{words}"))


def test_textfiles_of_several_stages_are_read_by_node_exporter(tmp_path):
    port, folder = free_port(), tmp_path / "metrics"
    settings = PrometheusSettings(textfile=str(folder))
    refused = ended("train", status="failed", error=GateError("too slow"))
    handed_on(
        settings, ended("train"), refused, ended("clean", rows_in=10, rows_rejected=1), drifted()
    )
    assert [path.name for path in sorted(folder.iterdir())] == [
        f"kyros_motor-2026_{stage}.prom" for stage in ("clean", "monitor", "train")
    ]
    with program(
        BIN / "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        log=tmp_path / "node.log", ready=f"http://127.0.0.1:{port}/",
    ):  # fmt: skip
        text = text_of(f"http://127.0.0.1:{port}/metrics")
    assert "node_textfile_scrape_error 0" in text
    for line in (
        'kyros_stage_rows{kind="rejected",portfolio="motor 2026",stage="clean"} 1',
        'kyros_stage_failed{portfolio="motor 2026",stage="train"} 1',
        'kyros_stage_gate_refused{portfolio="motor 2026",stage="train"} 1',
        # The failed run left the time of the last success where it was.
        'kyros_stage_last_success_timestamp_seconds{portfolio="motor 2026",stage="train"}',
        'model_prediction_drift_score{model="glm",portfolio="motor 2026"}',
    ):
        assert line in text, line
    assert "NaN" not in text


def test_a_port_is_served_while_the_process_lives():
    port = free_port()
    handed_on(PrometheusSettings(port=port), ended("predict", rows_in=7), ended("clean", rows_in=9))
    text = text_of(f"http://127.0.0.1:{port}/metrics")
    for stage, rows in (("predict", 7), ("clean", 9)):
        line = f'kyros_stage_rows{{kind="in",portfolio="motor 2026",stage="{stage}"}} {rows}.0'
        assert line in text
    assert text.count("# HELP kyros_stage_rows ") == 1


@pytest.mark.parametrize("fault", ["down", "slow", "answers 400", "no folder", "full"])
def test_what_does_not_take_metrics_is_told_and_costs_nothing(fault, tmp_path, caplog, monkeypatch):
    started = time.monotonic()
    with receiver(status=400 if "400" in fault else 200, delay=5 if fault == "slow" else 0) as (
        up,
        _,
    ):
        address = f"http://127.0.0.1:{free_port()}" if fault == "down" else up
        settings = PrometheusSettings(pushgateway=address, timeout_seconds=0.5)
        if fault == "no folder":
            (tmp_path / "file").write_text("")
            settings = PrometheusSettings(textfile=str(tmp_path / "file"))
        if fault == "full":
            settings = PrometheusSettings(textfile="/dev/full")
        with caplog.at_level(logging.WARNING, "kyros_spark"):
            handed_on(settings, ended("clean"))
    assert time.monotonic() - started < 30
    (record,) = caplog.records
    assert "metrics of clean did not reach" in record.getMessage()


def test_a_rule_that_fails_is_a_refusal_and_not_a_failure():
    run = ended("monitor", status="failed", error=DriftError("psi"))
    values = {sample.name: sample.value for sample in samples(run, PORTFOLIO)}
    assert values["kyros_stage_failed"] == values["kyros_stage_gate_refused"] == 1
    assert "kyros_stage_last_success_timestamp_seconds" not in values
