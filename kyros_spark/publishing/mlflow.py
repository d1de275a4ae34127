"""Log registered versions to MLflow, beside the registry; a failure there loses no training."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kyros_spark.config import MlflowSettings
from kyros_spark.foreign_errors import first_line
from kyros_spark.log import event
from kyros_spark.publishing.changes import flat
from kyros_spark.publishing.markdown import markdown
from kyros_spark.registry import Entry

_LONGEST_VALUE = 6000  # MLflow's limit on the length of a parameter's value


def log_version(
    settings: MlflowSettings, entry: Entry, content: Mapping[str, Any], data: bytes
) -> str | None:
    """Log a version as an MLflow run, and return the run's id; on failure warn and return None.

    content: its model card. data: the bytes of its model file.
    """
    try:
        return _log_run(settings, entry, content, data)
    except ImportError as error:
        reason = f"{error}; pip install 'kyros-spark[mlflow]'"
    except Exception as error:  # whatever the server's fault, the model is already registered
        # The address may contain a password.
        reason = first_line(error).replace(settings.tracking_uri, "train.mlflow.tracking_uri")
    message = f"model {entry.reference} is registered, but was not logged to MLflow: {reason}"
    event(message, level=logging.WARNING, kind="mlflow_not_logged", model=entry.reference)
    return None


def _log_run(
    settings: MlflowSettings, entry: Entry, content: Mapping[str, Any], data: bytes
) -> str:
    # By default MLflow keeps retrying a server that does not answer for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(settings.tracking_uri)
    existing = client.get_experiment_by_name(settings.experiment)
    if existing:
        experiment = existing.experiment_id
    else:
        experiment = client.create_experiment(settings.experiment)
    trained_ms = int(entry.trained_at.timestamp() * 1000)
    run_id = str(client.create_run(experiment, trained_ms, run_name=entry.reference).info.run_id)
    numbers = {**entry.cost, **entry.metrics}
    metrics = [Metric(k, v, trained_ms, 0) for k, v in numbers.items() if math.isfinite(v)]
    params = [Param(k, _text(v)[:_LONGEST_VALUE]) for k, v in flat(entry.settings).items()]
    tags = [RunTag(key, value) for key, value in _tags(entry).items()]
    client.log_batch(run_id, metrics, params, tags)
    client.log_text(run_id, markdown(content), "card.md")
    client.log_text(run_id, json.dumps(content, indent=2, sort_keys=True), "card.json")
    _log_bytes(client, run_id, data, f"{entry.name}-{entry.version}.kyros")
    client.set_terminated(run_id)
    return run_id


def _log_bytes(client: Any, run_id: str, data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        client.log_artifact(run_id, str(path))


def _tags(entry: Entry) -> dict[str, str]:
    return {
        "kyros.model": entry.name,
        "kyros.version": str(entry.version),
        "kyros.status": entry.status,
        "kyros.fingerprint": entry.fingerprint,
        "kyros.run_id": entry.run_id,
        "kyros.git_commit": entry.git_commit,
        "kyros.sha256": entry.sha256,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
