"""card: what the registry knows of a version -> its model card, as Markdown and JSON files."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.publishing.card import card
from kyros_spark.publishing.markdown import markdown
from kyros_spark.registry import Entry, Registry
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.storage.files import write_file


def model_card(
    spark: SparkSession, config: Config, model: str, out: str | None = None
) -> dict[str, Any]:
    """Write a version's card, and return its content and its ``files``.

    model: NAME, NAME@VERSION or NAME@champion. out: a folder; without it beside the model's file.

    Raises:
        UnknownModelError: the version is not in the registry.
        ModelFileError: its file is missing, or not the one that was registered.
    """
    tables = DeltaTables(spark, config.tables)
    registry = Registry(tables, config.tables.artefact_folder())
    entry = registry.find(model)[0]
    content = _content(tables, registry, entry, registry.entries())
    return {**content, "files": _written(spark, entry, content, out)}


def write_cards(
    portfolio: Portfolio, registry: Registry, references: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Write the cards of versions beside their files, in place of those there; return them."""
    known = registry.entries()
    told = {}
    for entry in known:
        if entry.reference in references:
            content = _content(portfolio.tables, registry, entry, known)
            _written(portfolio.spark, entry, content, None)
            told[entry.reference] = content
    return told


def _content(
    tables: DeltaTables, registry: Registry, entry: Entry, known: list[Entry]
) -> dict[str, Any]:
    model, _ = registry.load(entry)
    return card(entry, model, known, _relativities(tables, entry))


def _relativities(tables: DeltaTables, entry: Entry) -> list[dict[str, Any]]:
    table = tables.find("relativities")
    if table is None:
        return []
    is_it = F.col("model_name") == entry.name
    rows = table.where(is_it & (F.col("model_version") == entry.version)).collect()
    return [row.asDict() for row in rows]


def _written(
    spark: SparkSession, entry: Entry, content: dict[str, Any], out: str | None
) -> dict[str, str]:
    beside = entry.path.removesuffix(".kyros")
    stem = beside if out is None else f"{out.rstrip('/')}/{entry.name}-{entry.version}"
    texts = {
        "markdown": (f"{stem}.md", markdown(content)),
        "json": (f"{stem}.json", json.dumps(content, indent=2, sort_keys=True) + "\n"),
    }
    for address, text in texts.values():
        write_file(spark, address, text.encode())
    return {kind: address for kind, (address, _) in texts.items()}
