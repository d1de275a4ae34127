"""report: a portfolio on one page: its batches, data quality, drift, prices, models and tables."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config, is_remote
from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.environment import package_version
from kyros_spark.errors import BatchMissingError
from kyros_spark.evaluation.report import portfolio_charts as charts
from kyros_spark.evaluation.report.page import check_report
from kyros_spark.evaluation.report.portfolio_page import PortfolioFacts, portfolio_page
from kyros_spark.monitoring.rules import recorded_sentence
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.storage.files import local_path, write_file

STAGES = ("clean", "prepare", "train", "monitor", "predict", "explain", "evaluate")
_COLUMNS = {
    "extract": ("extract",), "clean": ("policies", "claims", "rejects", "repairs"),
    "prepare": ("prepared",), "train": ("models",), "predict": ("predictions",),
    "evaluate, explain, monitor": ("evaluation_metrics", "explanations", "drift"),
}  # fmt: skip
_ARROWS = (
    ("extract", "policies"), ("extract", "claims"), ("extract", "rejects"), ("extract", "repairs"),
    ("policies", "prepared"), ("claims", "prepared"), ("prepared", "models"),
    ("models", "predictions"), ("predictions", "evaluation_metrics"),
    ("predictions", "explanations"), ("predictions", "drift"),
)  # fmt: skip


def portfolio_report(spark: SparkSession, config: Config, out: str | None = None) -> str:
    """Write the page and return its address; nothing is run.

    out: the file; default portfolio.html among the artefacts.

    Raises:
        PlatformError: the libraries that draw it are not installed.
        BatchMissingError: no batch has been cleaned yet.
    """
    check_report()
    portfolio = Portfolio(spark, config)
    address = out or f"{config.tables.artefact_folder()}/portfolio.html"
    content = _Contents(portfolio, address).facts()
    write_file(spark, address, portfolio_page(content))
    return address


@dataclass(frozen=True)
class _Contents:
    """What the ledger, the registry and the profiles say. address: of the page."""

    portfolio: Portfolio
    address: str

    @cached_property
    def runs(self) -> dict[str, dict[str, LastRun]]:
        """The last finished run of each stage, by stage and batch."""
        ledger = self.portfolio.ledger
        return {stage: runs for stage in STAGES if (runs := ledger.last_runs(stage))}

    @cached_property
    def batches(self) -> list[str]:
        """The batches that were cleaned: in the order of the settings, then as they came."""
        cleaned = self.runs.get("clean", {})
        if not cleaned:
            raise BatchMissingError(
                f"report: expected a batch that is cleaned in {self.portfolio.config.portfolio}, "
                "found none; run: kyros run"
            )
        others = sorted(cleaned, key=lambda batch: cleaned[batch].ordinal)
        declared = [batch for batch in self.portfolio.config.batches if batch in cleaned]
        return list(dict.fromkeys([*declared, *others]))

    def facts(self) -> PortfolioFacts:
        """Return all that the page says."""
        name, now = self.portfolio.config.portfolio, datetime.now(UTC)
        shown = self.batches
        sections = {
            "Where it comes from": [self._lineage()],
            "Data quality": self._quality(),
            "Drift": self._drift(),
            "Observed against expected": self._actual_expected(),
        }
        return PortfolioFacts(
            title=f"Portfolio {name}",
            facts=[f"{len(shown)} batches", f"kyros-spark {package_version()}",
                   f"made {now:%Y-%m-%d %H:%M} UTC"],
            stages=[stage for stage in self.runs if stage != "train"],
            batches=[self._batch(batch) for batch in shown],
            charts={heading: drawn for heading, drawn in sections.items() if drawn},
            models=self._models(),
            left_out=list(self._left_out()),
        )  # fmt: skip

    def _batch(self, batch: str) -> dict[str, Any]:
        runs = {stage: of[batch] for stage, of in self.runs.items() if batch in of}
        sources, monitored = runs["clean"].details, runs.get("monitor")
        details = monitored.details if monitored is not None else {}
        report = runs["evaluate"].details.get("report") if "evaluate" in runs else None
        return {
            "label": batch,
            "stages": {stage: _when(run) for stage, run in runs.items()},
            "rows": sources.get("policies", {}).get("rows_out"),
            "rejected": sum(of_source.get("rejected", 0) for of_source in _sources(sources)),
            "verdict": details.get("verdict", ""),
            "alarms": [recorded_sentence(alarm) for alarm in details.get("alarms", ())][:3],
            "report": self._link(report) if isinstance(report, str) else None,
        }

    def _quality(self) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, float]] = defaultdict(dict)
        rejected: dict[str, dict[str, float]] = defaultdict(dict)
        repaired: dict[str, dict[str, float]] = defaultdict(dict)
        for batch in self.batches:
            for source, counts in self.runs["clean"][batch].details.items():
                if isinstance(counts, dict) and "rows_out" in counts:
                    rows[source][batch] = counts["rows_out"]
                    _count(rejected, source, batch, counts.get("rules", {}))
                    _count(repaired, source, batch, counts.get("repaired", {}))
        drawn = [charts.lines("Clean rows", "rows", self.batches, rows)]
        if rejected:
            title = "Rows that broke a rule and were rejected, by rule"
            drawn.append(charts.bars(title, "rows", self.batches, rejected))
        if repaired:
            title = "Rows that a rule repaired, by rule"
            drawn.append(charts.bars(title, "rows", self.batches, repaired))
        missing = self._missing()
        if missing:
            title = "Missing values by column"
            drawn.append(
                charts.lines(title, "share of rows", self.batches, missing, percent=True)
            )  # fmt: skip
        return drawn

    def _missing(self) -> dict[str, dict[str, float]]:
        """Return the share of missing values of columns that lack some, by batch."""
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        columns = ("source", "column", "row_count", "null_count")
        for batch in self.batches:
            version = self.runs["clean"][batch].outputs.get("profiles")
            if version is None:
                continue
            tables = self.portfolio.tables
            for row in small_rows(tables, "profiles", version, columns, {"batch_id": batch}):
                share = row["null_count"] / row["row_count"] if row["row_count"] else 0.0
                shares[f"{row['source']}.{row['column']}"][batch] = share
        return {name: of_batch for name, of_batch in shares.items() if any(of_batch.values())}

    def _drift(self) -> list[dict[str, Any]]:
        monitored = self.runs.get("monitor", {})
        titles = {"features": "PSI of features against the training batches",
                  "models": "PSI of predictions against the training batches"}  # fmt: skip
        drawn = []
        for kind, title in titles.items():
            series: dict[str, dict[str, float]] = defaultdict(dict)
            for batch in self.batches:
                details = monitored[batch].details if batch in monitored else {}
                for name, psi in details.get("drift", {}).get(kind, {}).items():
                    series[name][batch] = psi
            if series:
                drawn.append(charts.lines(title, "PSI", self.batches, series))
        return drawn

    def _actual_expected(self) -> list[dict[str, Any]]:
        series: dict[str, dict[str, Sequence[float | None]]] = defaultdict(dict)
        for batch, run in self.runs.get("evaluate", {}).items():
            for model, ends in run.details.get("actual_expected", {}).items():
                if batch in self.batches and None not in ends:
                    series[model][batch] = ends
        title = "Actual over expected by model, with its interval"
        judged = [batch for batch in self.batches if any(batch in s for s in series.values())]
        return [charts.intervals(title, "actual / expected", judged, series, 1.0)] if judged else []

    def _lineage(self) -> dict[str, Any]:
        newest: dict[str, int] = {}
        for of_stage in self.runs.values():
            for run in of_stage.values():
                for table, version in run.outputs.items():
                    newest[table] = max(version, newest.get(table, 0))
        columns = []
        for stage, names in _COLUMNS.items():
            notes = {n: f"version {newest[n]}" for n in names if n in newest}
            notes |= {"extract": f"{len(self.batches)} batches"} if stage == "extract" else {}
            if notes:
                columns.append((stage, notes))
        return charts.lineage("Tables, and the stages that write them", columns, _ARROWS)

    def _models(self) -> list[dict[str, Any]]:
        entries = self.portfolio.registry.entries()
        ordered = sorted(entries, key=lambda e: (e.status != "champion", e.name, -e.version))
        return [self._model(entry) for entry in ordered]

    def _model(self, entry: Entry) -> dict[str, Any]:
        card = f"{entry.path.removesuffix('.kyros')}.md"
        is_there = not is_remote(card) and local_path(card).exists()
        return {
            "name": entry.name, "version": entry.version, "status": entry.status,
            "method": entry.method, "family": entry.family, "batch": entry.batch,
            "predicts": f"{entry.target} per {entry.per or 'row'}",
            "trained": f"{entry.trained_at:%Y-%m-%d %H:%M}",
            "d2": entry.metrics.get("test_d2"), "balance": entry.metrics.get("test_balance"),
            "card": self._link(card) if is_there else None,
        }  # fmt: skip

    def _link(self, address: str) -> str | None:
        """Return a link from the page to a file, or None where a browser could not follow it."""
        if is_remote(address) or is_remote(self.address):
            return None
        folder = local_path(self.address).resolve().parent
        return os.path.relpath(local_path(address).resolve(), folder).replace(os.sep, "/")

    def _left_out(self) -> Iterable[str]:
        absent = {"monitor": "drift", "evaluate": "observed against expected"}
        for stage, what in absent.items():
            if stage not in self.runs:
                yield f"No batch went through {stage}, so {what} is not shown: kyros {stage}"


def _sources(details: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [of_source for of_source in details.values() if isinstance(of_source, dict)]


def _count(
    into: dict[str, dict[str, float]], source: str, batch: str, rules: Mapping[str, int]
) -> None:
    for rule, rows in rules.items():
        if rows:
            into[f"{source} {rule}"][batch] = rows


def _when(run: LastRun) -> tuple[str, str]:
    ended = run.ended_at.astimezone(UTC)
    return f"{ended:%Y-%m-%d}", f"{ended:%H:%M}, {run.seconds:,.0f} s"
