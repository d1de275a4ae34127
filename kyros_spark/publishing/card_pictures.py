"""Choose the pictures of a version's card: its factors, its explained prices, its segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.evaluation.report.explained_charts import of_summary
from kyros_spark.evaluation.report.segment_charts import confidence, of_segments
from kyros_spark.model.artefact import Model
from kyros_spark.publishing.card_charts import of_factors
from kyros_spark.publishing.card_page import Pictures
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.tables.explanation_summary import EXPLANATION_SUMMARY

Rows = list[dict[str, Any]]


def of_own_factors(content: Mapping[str, Any], model: Model) -> Pictures:
    """Return the pictures of a GLM's factors. content: the card's; of another model, none."""
    charts = of_factors(content["factors"], content["model"]["link"])
    if not charts:
        return Pictures("", (), ())
    notes = [
        f"Points are estimates in their intervals of {confidence(model):.0%}, where the fit has "
        "them; the open diamond is the base level, bars are the share of exposure, and a triangle "
        "stands for a small level beyond the axis."
    ]
    return Pictures("", notes, charts)


def of_prices_and_segments(portfolio: Portfolio, entry: Entry, model: Model) -> list[Pictures]:
    """Return the pictures of the prices that were explained last, and of a fit per segment."""
    pictures = []
    batch, by_price = newest_explained(portfolio, entry)
    for name, rows in by_price.items():
        of = "" if name == entry.name else f": {name}"
        notes = [f"All policies of batch {batch} that were explained, weighted by exposure; the "
                 "points are means over the policies of a level."]  # fmt: skip
        charts = list(of_summary(rows).values())
        pictures.append(Pictures(f"What the prices are made of{of}", notes, charts))
    segments = list(of_segments(model).values()) if model.manifest.by else []
    if segments:
        notes = ["Each segment's own coefficient in its interval, the smallest at the bottom; the "
                 "line is that of all segments together, and dots are full where the interval "
                 "leaves it out."]  # fmt: skip
        pictures.append(Pictures("Segments", notes, segments))
    return pictures


def newest_explained(portfolio: Portfolio, entry: Entry) -> tuple[str | None, dict[str, Rows]]:
    """Return the batch of the version that was explained last, and its rows by price.

    The rows are those of table `explanation_summary` over all policies. A model of several classes
    has a price for each, NAME.CLASS.
    """
    version = portfolio.tables.version(EXPLANATION_SUMMARY.name)
    if version is None:
        return None, {}
    runs = portfolio.ledger.last_runs("explain")
    for batch in sorted(runs, key=lambda batch: runs[batch].ordinal, reverse=True):
        by_price: dict[str, Rows] = {}
        of_batch = {"batch_id": batch}
        for row in small_rows(portfolio.tables, EXPLANATION_SUMMARY.name, version, None, of_batch):
            is_its_own = row["model_name"].partition(".")[0] == entry.name
            if is_its_own and row["model_version"] == str(entry.version) and not row["segment"]:
                by_price.setdefault(row["model_name"], []).append(row)
        if by_price:
            return batch, by_price
    return None, {}
