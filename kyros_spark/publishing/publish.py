"""Publish new versions outside the tables: as model cards, and to MLflow if it is configured."""

from __future__ import annotations

from collections.abc import Sequence

from kyros_spark.config import MlflowSettings
from kyros_spark.publishing.card_files import write_cards
from kyros_spark.publishing.mlflow import log_version
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run


def publish(
    portfolio: Portfolio,
    run: Run,
    changed: Sequence[Entry],
    mlflow: MlflowSettings | None = None,
) -> None:
    """Write the cards of the versions this run added; with MLflow settings, log those versions."""
    added = [entry for entry in changed if entry.run_id == run.run_id]
    if not added:
        return
    cards = write_cards(portfolio, [entry.reference for entry in added])
    if mlflow is None:
        return
    for entry in added:
        log_version(mlflow, entry, cards[entry.reference], portfolio.registry.load(entry)[1])
