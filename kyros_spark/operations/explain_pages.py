"""Show explanations to a person: one policy's price step by step, or a batch's on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config, ExplainSettings
from kyros_spark.errors import UsageError
from kyros_spark.evaluation.report import explained_charts as charts
from kyros_spark.evaluation.report.explained_page import PageSection, explained_page
from kyros_spark.explanation.price import ExplainedRows
from kyros_spark.explanation.ranking import as_text
from kyros_spark.fitting.sample import DRAW, with_draw
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.scoring.arrow_features import as_doubles
from kyros_spark.stages.explain.chosen import chosen_models
from kyros_spark.stages.explain.on_demand import OnDemand, explained_on_demand
from kyros_spark.storage.files import write_file
from kyros_spark.tables.ddl import quoted, text

SAMPLE = 400  # policies of a beeswarm: more dots would hide each other
_SHOWN = 12


def explain_policy(
    spark: SparkSession,
    config: Config,
    policy: str,
    batch: str | None = None,
    models: Sequence[str] = (),
    html: str | None = None,
) -> list[dict[str, Any]]:
    """Return what each price of one policy is made of: rows as of table `explanations`.

    They are computed anew, with all contributions. policy: its key, several columns' values with
    commas between. html: a file to write with a waterfall per price.

    Raises:
        UsageError: the batch has no such policy, or the key has another number of columns.
        UnknownModelError, BatchMissingError, FeatureMismatchError: as explain raises them.
    """
    portfolio, label = Portfolio(spark, config), batch_of("explain", batch, config)
    settings = config.explain or ExplainSettings()
    where = _is_policy(config.sources.policies.key, policy)
    asked = settings.model_copy(update={"top": "all", "where": where})
    entries = chosen_models(portfolio, label, models, settings)
    explained = explained_on_demand(portfolio, label, [e.reference for e in entries], asked)
    policies = explained.task.batch.held(explained.task.columns)
    if not policies.num_rows:
        raise UsageError(
            f"prepared, batch {label}: expected a policy {policy}, found none; its key is "
            f"{', '.join(config.sources.policies.key)}"
        )
    rows = [
        row
        for part, prices in explained.held(policies)
        for price in prices
        for row in explained.task.form.rows(price, part).to_pylist()
    ]
    if html is not None:
        per = {entry.name: f"{entry.target} per {entry.per or 'row'}" for entry in entries}
        sections = [
            PageSection(
                f"{row['model_name']}@{row['model_version']}",
                (sentence(row),),
                [("from the base to the price", charts.waterfall(row, _unit(row, per)))],
            )
            for row in rows
        ]
        facts = [f"batch {label}", config.portfolio, *_reference_words(settings)]
        write_file(spark, html, explained_page(f"Why this price? Policy {policy}", facts, sections))
    return rows


def sentence(row: dict[str, Any]) -> str:
    """Return a price as a product or a sum, in words."""
    if row["link"] != "log":
        return (
            f"{row['model_name']}: base {row['base']:.6g} and contributions on the scale of the "
            f"{row['link']} link give {row['prediction']:.6g}."
        )
    moving = [c for c in row["contributions"] if c["contribution"]]
    factors = [
        f"{c['relativity']:.3f} for {c['feature']} {charts.shown_value(c['value'])}"
        for c in moving[:_SHOWN]
    ]
    load = f", plus {row['load']:.4g} for large losses" if row["load"] else ""
    product = " x ".join([f"{np.exp(row['base']):.6g}", *factors])
    more = " x others" if len(moving) > _SHOWN else ""
    return f"{row['model_name']}: {product}{more}{load} = {row['prediction']:.6g}."


def explain_page(
    spark: SparkSession, config: Config, batch: str | None, models: Sequence[str], html: str
) -> None:
    """Write a page of a batch that explain has explained: importance, a sample, dependences.

    Raises:
        UsageError: the batch has no summary of a model: explain.summary is off.
    """
    portfolio, label = Portfolio(spark, config), batch_of("explain", batch, config)
    settings = config.explain or ExplainSettings()
    entries = chosen_models(portfolio, label, models, settings)
    references = [entry.reference for entry in entries]
    asked = settings.model_copy(update={"top": "all"})
    explained = explained_on_demand(portfolio, label, references, asked)
    summary = portfolio.tables.read("explanation_summary", None, [label]).collect()
    swarms = _beeswarms(explained, config)
    sections = []
    for price in explained.ready.prices:
        rows = [row.asDict() for row in summary if row["model_name"] == price.name]
        if not rows:
            raise UsageError(
                f"explanation_summary, batch {label}: expected rows of {price.name}, found none; "
                f"run: kyros explain --batch {label} --set explain.summary=true"
            )
        specs = charts.of_summary(rows)
        shown = [("mean absolute contribution", specs.pop("importance"))]
        shown.append((f"a sample of at most {SAMPLE} policies", swarms[price.name]))
        shown += [(spec["title"], spec) for spec in specs.values()]
        sections.append(PageSection(f"{price.name}@{price.version}", (), shown))
    facts = [f"batch {label}", config.portfolio, *_reference_words(settings)]
    write_file(spark, html, explained_page("What the prices are made of", facts, sections))


def _beeswarms(explained: OnDemand, config: Config) -> dict[str, dict[str, Any]]:
    """Return the chart of a sample of policies by price, drawn by a hash of the key."""
    batch, key = explained.task.batch, config.sources.policies.key
    share = min(1.0, 2.0 * SAMPLE / max(batch.source.row_count, 1))
    drawn = with_draw(batch.rows(), key).where(F.col(DRAW) <= F.lit(share))
    sample = drawn.orderBy(DRAW, *key).limit(SAMPLE).select(*explained.task.columns)
    parts = explained.held(pa.Table.from_batches(sample.toArrow().to_batches()))
    swarms = {}
    for number, price in enumerate(explained.ready.prices):
        swarms[price.name] = _beeswarm([(part, prices[number]) for part, prices in parts])
    return swarms


def _beeswarm(parts: Sequence[tuple[pa.RecordBatch, ExplainedRows]]) -> dict[str, Any]:
    (part, rows), *_ = parts
    size = np.abs(rows.values).mean(axis=0)
    order = np.argsort(-size, kind="stable")[:_SHOWN]
    names = [rows.price.features[n] for n in order]
    shades = [_shades(part.column(name)) for name in names]
    lanes = [rows.values[:, n].tolist() for n in order]
    return charts.beeswarm(names, lanes, shades, rows.price.link)


def _shades(column: pa.Array) -> list[float]:
    """Return each value's rank among the others, from 0 to 1; levels in alphabetical order."""
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        values = np.array([value or "" for value in as_text(column).to_pylist()])
    else:
        values = np.nan_to_num(as_doubles(column), nan=-np.inf)
    distinct, codes = np.unique(values, return_inverse=True)
    return list((codes / max(distinct.size - 1, 1)).astype(float))


def _is_policy(key: Sequence[str], policy: str) -> str:
    """Return the SQL condition that a row is the policy's."""
    values = policy.split(",") if len(key) > 1 else [policy]
    if len(values) != len(key):
        raise UsageError(
            f"explain --policy: expected the values of {', '.join(key)}, with commas between, "
            f"found {len(values)}: '{policy}'"
        )
    pairs = zip(key, values, strict=True)
    return " AND ".join(f"CAST({quoted(name)} AS STRING) = {text(value)}" for name, value in pairs)


def _unit(row: dict[str, Any], per: dict[str, str]) -> str:
    return per.get(row["model_name"].partition(".")[0], "price")


def _reference_words(settings: ExplainSettings) -> list[str]:
    trees = "the covers of their paths" if settings.trees == "covers" else "a background sample"
    glms = "the base levels" if settings.reference == "base" else "the portfolio's mean"
    return [f"GLMs from {glms}, trees by {trees}"]
