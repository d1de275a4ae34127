"""card: a registered version -> its model card, as Markdown, JSON and HTML files."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.evaluation.report.page import lacking
from kyros_spark.fitting.relativities import relativities
from kyros_spark.log import event
from kyros_spark.model.artefact import Model
from kyros_spark.publishing.card import card
from kyros_spark.publishing.card_page import card_page
from kyros_spark.publishing.card_pictures import of_own_factors, of_prices_and_segments
from kyros_spark.publishing.markdown import markdown
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.storage.files import write_file


def model_card(
    spark: SparkSession, config: Config, model: str, out: str | None = None
) -> dict[str, Any]:
    """Write a version's card, and return its content and its ``files``.

    model: NAME, NAME@VERSION or NAME@champion. out: the folder to write to; by default the files go
    beside the model's file. Without jinja2 and matplotlib, no page is written, and the log says so.

    Raises:
        UnknownModelError: the version is not in the registry.
        ModelFileError: the model's file is missing, or is not the one that was registered.
        PlatformError: the page's pictures could not be drawn; the other files are written.
    """
    portfolio = Portfolio(spark, config)
    entry = portfolio.registry.find(model)[0]
    loaded = portfolio.registry.load(entry)[0]
    content = _content(loaded, entry, portfolio.registry.entries())
    files = _write_files(spark, entry, content, out)
    missing = lacking()
    if missing:
        message = (
            f"card {entry.reference}: the page with pictures is not written: it needs "
            f"{' and '.join(missing)}, not installed here: pip install 'kyros-spark[report]'"
        )
        event(message, level=logging.WARNING, kind="card_page_not_written")
        return {**content, "files": files}
    others = of_prices_and_segments(portfolio, entry, loaded)
    files["html"] = f"{_stem(entry, out)}.html"
    write_file(spark, files["html"], card_page(content, of_own_factors(content, loaded), others))
    return {**content, "files": files}


def write_cards(portfolio: Portfolio, references: Collection[str]) -> dict[str, dict[str, Any]]:
    """Write the cards of versions beside their model files, replacing older ones.

    Only as Markdown and JSON: drawing takes seconds, which whoever trains would wait for.
    Return each card's content by reference (NAME@VERSION).
    """
    entries = portfolio.registry.entries()
    cards = {}
    for entry in entries:
        if entry.reference in references:
            content = _content(portfolio.registry.load(entry)[0], entry, entries)
            _write_files(portfolio.spark, entry, content, None)
            cards[entry.reference] = content
    return cards


def _content(model: Model, entry: Entry, entries: list[Entry]) -> dict[str, Any]:
    # As table relativities has them, which is written from the same file.
    rows = relativities(model.manifest, entry.version, entry.batch, entry.run_id)
    return card(entry, model, entries, rows)


def _write_files(
    spark: SparkSession, entry: Entry, content: dict[str, Any], out: str | None
) -> dict[str, str]:
    """Write the card as Markdown and as JSON, and return each file's address by kind."""
    stem = _stem(entry, out)
    texts = {
        "markdown": (f"{stem}.md", markdown(content)),
        "json": (f"{stem}.json", json.dumps(content, indent=2, sort_keys=True) + "\n"),
    }
    for address, text in texts.values():
        write_file(spark, address, text.encode())
    return {kind: address for kind, (address, _) in texts.items()}


def _stem(entry: Entry, out: str | None) -> str:
    """Return the address of a card's files without their suffix."""
    beside = entry.path.removesuffix(".kyros")
    return beside if out is None else f"{out.rstrip('/')}/{entry.name}-{entry.version}"
