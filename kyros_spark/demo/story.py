"""Run the demo: generate the portfolio, run all stages, and show the outcome in short tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.demo import portfolio
from kyros_spark.log import event
from kyros_spark.runs.result_line import pipeline_line
from kyros_spark.stages.pipeline import run

POLICIES_PER_BATCH = 200_000


def demo(spark: SparkSession, config: Config, config_uri: str, count: int | None) -> dict[str, Any]:
    """Generate the portfolio unless it exists, run every stage, and show the outcome."""
    generate(spark, config, count or POLICIES_PER_BATCH)
    pipeline = run(spark, config)
    report = None
    if pipeline.error is None:
        evaluation = run(spark, config, [config.batches[-1]], ["evaluate"])
        pipeline.runs += evaluation.runs
        if evaluation.error is None:  # the demo does without the libraries that draw
            report = evaluation.runs[-1].details.get("report")
    line = pipeline_line(pipeline, config_uri)
    if pipeline.error is None:
        sys.stdout.write(summary(spark, config, config_uri, report))
        sys.stdout.flush()
    return {**line, "stage": "demo"}


def generate(spark: SparkSession, config: Config, count: int) -> None:
    """Write the yearly extracts as CSV, except those that already exist in the same size."""
    first = int(config.batches[0])
    for batch in config.batches:
        folder = Path(config.sources.policies.path.replace("{batch}", batch)).parent
        marker = folder / "generated.json"
        contents = {"policies": count, "year": int(batch), "version": 1}
        if marker.exists() and json.loads(marker.read_text()) == contents:
            event(f"extract {batch} is already there", folder=str(folder))
            continue
        event(f"generating extract {batch}: {count:,} policies", folder=str(folder))
        marker.unlink(missing_ok=True)
        drawn = portfolio.policies(spark, int(batch), first, count)
        claims = portfolio.with_claim_dirt(portfolio.claims(drawn, int(batch)), int(batch))
        _write(portfolio.with_policy_dirt(drawn, int(batch)), folder / "policies")
        _write(claims, folder / "claims")
        marker.write_text(json.dumps(contents))


def _write(frame: DataFrame, folder: Path) -> None:
    frame.coalesce(2).write.mode("overwrite").option("header", "true").csv(str(folder))


def summary(spark: SparkSession, config: Config, config_uri: str, report: str | None) -> str:
    """Return the tables and hints that the demo ends with; the last is a report to look at."""
    tables = DeltaTables(spark, config.tables)
    parts = [
        _cleaning(tables),
        _rejections(tables),
        _models(tables),
        _actual_against_expected(tables),
    ]
    query = (
        "SELECT model_name, round(sum(expected)) AS expected FROM predictions "
        f"WHERE batch_id = '{config.batches[-1]}' GROUP BY model_name"
    )
    hints = [
        f"tables   {tables.location('policies').rsplit('/', 1)[0]}/",
        f"settings {config_uri}",
        "next     make sql      (a SQL prompt on these tables), or:",
        f'         kyros sql --config {config_uri} -e "{query}"',
        *([f"look at  {report}  (in a browser)"] if report else []),
    ]
    return "\n".join(["", *parts, *hints, ""])


def _cleaning(tables: DeltaTables) -> str:
    runs = tables.read("runs").where("stage = 'clean' AND status = 'done'")
    counts = ("rows_in", "rows_duplicate", "rows_rejected", "rows_out")
    last = runs.groupBy("batch_id").agg(F.max_by(F.struct(*counts), "started_at").alias("r"))
    rows = last.select("batch_id", "r.*").orderBy("batch_id").collect()
    head = ("batch", "rows in", "duplicates", "rejected", "rows out")
    body = [(r[0], *(f"{value:,}" for value in r[1:])) for r in rows]
    return _table("Cleaned (policies and claims)", head, body)


def _rejections(tables: DeltaTables) -> str:
    reasons = tables.read("rejects").groupBy("source", "rule", "column").count()
    rows = reasons.orderBy(F.desc("count")).limit(8).collect()
    body = [(r["source"], r["rule"], r["column"], f"{r['count']:,}") for r in rows]
    return _table("Rejected, and why", ("source", "rule", "column", "rows"), body)


def _models(tables: DeltaTables) -> str:
    rows = tables.read("models").where("status = 'champion'").orderBy("model_name").collect()
    body = []
    for row in rows:
        metrics = row["metrics"]
        body.append(
            (
                f"{row['model_name']}@{row['model_version']}",
                f"{metrics['test_deviance']:.4f}",
                f"{metrics['test_null_deviance']:.4f}",
                f"{100 * metrics['test_d2']:.2f} %",
                f"{metrics['test_balance']:.3f}",
            )
        )
    head = ("model", "deviance", "intercept only", "explained", "predicted/observed")
    return _table("Models, on the test part of the training batch", head, body)


def _actual_against_expected(tables: DeltaTables) -> str:
    actual = tables.read("prepared").groupBy("batch_id")
    sums = actual.agg(F.sum("claim_count").alias("counts"), F.sum("claim_amount").alias("amounts"))
    expected = tables.read("predictions").groupBy("batch_id", "model_name")
    joined = expected.agg(F.sum("expected").alias("expected")).join(sums, "batch_id")
    body = []
    for row in joined.where("expected IS NOT NULL").orderBy("model_name", "batch_id").collect():
        is_amount = "premium" in row["model_name"]
        observed = row["amounts"] if is_amount else row["counts"]
        ratio = f"{100 * observed / row['expected']:.1f} %"
        body.append(
            (
                row["model_name"],
                row["batch_id"],
                f"{observed:,.0f}",
                f"{row['expected']:,.0f}",
                ratio,
            )
        )
    head = ("model", "batch", "actual", "expected", "actual/expected")
    return _table("Actual against expected", head, body)


def _table(title: str, head: tuple[str, ...], body: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[n]) for row in (head, *body)) for n in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        return "  ".join((first.strip().ljust(widths[0]), *others))

    return "\n".join([title, *("  " + line(row) for row in (head, *body)), ""])
