"""Versions logged to MLflow are there to be read back; what fails there loses no training."""

import json
import logging

import pytest
from mlflow import MlflowClient
from portfolio import SETTINGS


@pytest.fixture
def training(portfolio, tmp_path, monkeypatch):
    """Train the severity under another setting, with MLflow at an address."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def train(address):
        severity = SETTINGS["train"]["models"]["severity"] | {"max_levels": 9, "purpose": "a test"}
        portfolio.set("train.models", {"severity": severity})
        portfolio.set("train.mlflow", {"tracking_uri": address, "experiment": "motor"})
        return portfolio.must("train")

    return train


def test_a_trained_version_is_a_run_with_settings_metrics_tags_card_and_file(
    portfolio, spark, training, tmp_path
):
    address = (tmp_path / "mlruns").as_uri()
    line = training(address)
    training(address)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("motor")
    (run,) = client.search_runs([experiment.experiment_id])  # the second training kept the first's
    row = portfolio.read(spark, "models").where("model_version = 2").first()
    assert {k: v for k, v in run.data.metrics.items() if k != "model_bytes"} == row["metrics"]
    assert run.data.params["glm.max_iter"] == "50" and run.data.params["purpose"] == "a test"
    assert run.data.tags["kyros.model"] == "severity" and run.data.tags["kyros.version"] == "2"
    assert run.data.tags["kyros.fingerprint"] == row["fingerprint"]
    assert run.data.tags["kyros.run_id"] == line["run_id"]
    assert run.info.status == "FINISHED" and run.info.run_name == "severity@2"
    kept = {item.path: client.download_artifacts(run.info.run_id, item.path)
            for item in client.list_artifacts(run.info.run_id)}  # fmt: skip
    assert set(kept) == {"card.md", "card.json", "severity-2.kyros"}
    with open(kept["card.json"]) as card, open(kept["severity-2.kyros"], "rb") as model:
        assert json.load(card)["provenance"]["sha256"] == row["sha256"]
        with open(row["path"], "rb") as registered:
            assert model.read() == registered.read()


def test_a_server_that_does_not_answer_loses_no_training(portfolio, spark, training, caplog):
    logging.getLogger("kyros_spark").propagate = True
    training("http://127.0.0.1:9")
    row = portfolio.read(spark, "models").where("model_version = 2").first()
    assert row["status"] == "champion"
    (warning,) = [r for r in caplog.records if "was not logged to MLflow" in r.getMessage()]
    assert warning.levelname == "WARNING" and warning.fields["kind"] == "mlflow_not_logged"


def test_an_address_with_a_password_is_refused_and_not_repeated(portfolio, caplog):
    portfolio.set("train.mlflow", {"tracking_uri": "http://user:secret@127.0.0.1:9"})
    outcome = portfolio.kyros("train")
    assert outcome.code == 2 and "train.mlflow.tracking_uri" in outcome.line["error"]["message"]
    assert "secret" not in caplog.text + str(outcome.line)


def test_without_the_package_the_warning_says_what_to_install(training, caplog, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    logging.getLogger("kyros_spark").propagate = True
    training("unused")
    assert "pip install 'kyros-spark[mlflow]'" in caplog.text
