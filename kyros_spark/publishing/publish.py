"""Account for new versions outside the tables: model cards, and MLflow where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from kyros_spark.config import MlflowSettings
from kyros_spark.publishing.card_files import write_cards
from kyros_spark.publishing.mlflow import log_version
from kyros_spark.registry import Entry, Registry
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run


def publish(
    portfolio: Portfolio,
    run: Run,
    registry: Registry,
    changed: Sequence[Entry],
    mlflow: MlflowSettings | None = None,
) -> None:
    """Write the cards of the versions that this run added, and log those to MLflow."""
    added = [entry for entry in changed if entry.run_id == run.run_id]
    if not added:
        return
    cards = write_cards(portfolio, registry, [entry.reference for entry in added])
    if mlflow is None:
        return
    for entry in added:
        log_version(mlflow, entry, cards[entry.reference], registry.load(entry)[1])
