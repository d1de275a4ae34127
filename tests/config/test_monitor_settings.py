"""Rules that could never be judged are refused before Spark starts."""

import copy

import pytest
import yaml
from portfolio import SETTINGS

from kyros_spark.config import parse_config
from kyros_spark.errors import ConfigError


def parsed(**monitor):
    settings = copy.deepcopy(SETTINGS)
    settings["tables"]["base"] = "nowhere"
    for source in settings["sources"].values():
        source["path"] = "nowhere"
    return parse_config(yaml.safe_dump({**settings, "monitor": monitor})).monitor


WRONG = {
    "an unknown metric": ({"rules": [{"metric": "pis", "threshold": 1}]}, "metric"),
    "a negative threshold": ({"rules": [{"metric": "psi", "threshold": -1}]}, "threshold"),
    "a segment that is not declared": (
        {"rules": [{"metric": "psi", "threshold": 1, "segment": "fuel"}]}, "is not among segments"),
    "a segment of numbers": ({"segments": ["power"]}, "features with levels"),
    "a column that there is not": (
        {"rules": [{"metric": "psi", "threshold": 1, "columns": ["feul"]}]}, "feul"),
    "a feature that there is not": ({"features": ["feul"]}, "feul"),
    "claims against the batch before": (
        {"rules": [{"metric": "gini_drop", "threshold": 1, "against": "previous"}]}, "baseline"),
    "a gateway with a password": (
        {"prometheus": {"pushgateway": "http://me:hidden@host:9091"}}, "without user"),
    "a gateway that is a file": ({"prometheus": {"pushgateway": "file:///etc"}}, "http://HOST:PORT"),
    "a baseline that is a path": ({"baseline": ["../2023"]}, "batch id"),
    "a rate of nothing": ({"false_alarm_rate": 0}, "false_alarm_rate"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_refused_by_name(case):
    monitor, word = WRONG[case]
    with pytest.raises(ConfigError) as error:
        parsed(**monitor)
    assert "monitor" in str(error.value) and word in str(error.value)
    assert "hidden" not in str(error.value)


def test_only_a_failing_rule_on_what_is_there_before_predict_gates():
    gates = {"metric": "psi", "threshold": 0.25, "action": "fail"}
    assert parsed(rules=[gates]).gates_features
    assert not parsed(rules=[{**gates, "metric": "actual_expected"}]).gates_features
    assert not parsed().gates_features


def test_a_webhooks_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as error:
        parsed(webhook={"url_env": "https://hooks.example/hidden"})
    assert "monitor.webhook.url_env" in str(error.value) and "hidden" not in str(error.value)
