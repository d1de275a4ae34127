"""card: a registered version -> its model card, as Markdown and JSON files."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.fitting.relativities import relativities
from kyros_spark.publishing.card import card
from kyros_spark.publishing.markdown import markdown
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.storage.files import write_file


def model_card(
    spark: SparkSession, config: Config, model: str, out: str | None = None
) -> dict[str, Any]:
    """Write a version's card, and return its content and its ``files``.

    model: NAME, NAME@VERSION or NAME@champion. out: the folder to write to; by default the files go
    beside the model's file.

    Raises:
        UnknownModelError: the version is not in the registry.
        ModelFileError: the model's file is missing, or is not the one that was registered.
    """
    portfolio = Portfolio(spark, config)
    entry = portfolio.registry.find(model)[0]
    content = _content(portfolio, entry, portfolio.registry.entries())
    return {**content, "files": _write_files(spark, entry, content, out)}


def write_cards(portfolio: Portfolio, references: Collection[str]) -> dict[str, dict[str, Any]]:
    """Write the cards of versions beside their model files, replacing older ones.

    Return each card's content by reference (NAME@VERSION).
    """
    entries = portfolio.registry.entries()
    cards = {}
    for entry in entries:
        if entry.reference in references:
            content = _content(portfolio, entry, entries)
            _write_files(portfolio.spark, entry, content, None)
            cards[entry.reference] = content
    return cards


def _content(portfolio: Portfolio, entry: Entry, entries: list[Entry]) -> dict[str, Any]:
    model, _ = portfolio.registry.load(entry)
    # As table relativities has them, which is written from the same file.
    rows = relativities(model.manifest, entry.version, entry.batch, entry.run_id)
    return card(entry, model, entries, rows)


def _write_files(
    spark: SparkSession, entry: Entry, content: dict[str, Any], out: str | None
) -> dict[str, str]:
    """Write the card as Markdown and as JSON, and return each file's address by kind."""
    beside = entry.path.removesuffix(".kyros")
    stem = beside if out is None else f"{out.rstrip('/')}/{entry.name}-{entry.version}"
    texts = {
        "markdown": (f"{stem}.md", markdown(content)),
        "json": (f"{stem}.json", json.dumps(content, indent=2, sort_keys=True) + "\n"),
    }
    for address, text in texts.values():
        write_file(spark, address, text.encode())
    return {kind: address for kind, (address, _) in texts.items()}
