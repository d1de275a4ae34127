"""Explain a batch and write it: in the driver if it is small, else slice by slice on executors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.keyed_sums import KeyedSums
from kyros_spark.aggregates.rows import ExecutorRows
from kyros_spark.config import ExplainSettings
from kyros_spark.delta.where import Among, Where
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.explanation.explaining_pass import ExplainingPass
from kyros_spark.runs.micro_batches import in_micro_batches, staged_write
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.udf import sent
from kyros_spark.spark.session import arrow_batch_rows, can_broadcast
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.explain.batch import ExplainedBatch
from kyros_spark.stages.explain.explained import (
    RowFormat,
    Summing,
    columns_read,
    explained_frame,
    remembering,
    report_host,
)
from kyros_spark.stages.explain.explaining import Explaining
from kyros_spark.stages.explain.levels import levels_by_feature
from kyros_spark.stages.explain.summary import SummaryPlan
from kyros_spark.stages.explain.summary_report import SummaryReport
from kyros_spark.tables.explanations import explanations
from kyros_spark.tables.prepared import prepared as prepared_table

IN_DRIVER = 100_000  # rows that one process explains before Spark's workers have started


@dataclass(frozen=True)
class ExplainTask:
    """One run's work: the batch, what explains it, and the tables that it writes."""

    batch: ExplainedBatch
    ready: Explaining
    paths: tuple[str, ...]
    run: Run
    hosts: HostReport | None = None

    def write(self) -> KeyedSums | None:
        """Write the rows of `explanations`, if they are asked for; return the sums, if those are.

        Puts the table and the numbers of rows into the run.
        """
        if self._fits_the_driver():
            return self._in_driver()
        with arrow_batch_rows(self._portfolio.spark, self._settings.rows_per_arrow_batch):
            return self._on_executors()

    def rows(self, among: DataFrame | None = None) -> DataFrame:
        """Return the rows of `explanations`, whenever they are read.

        among: the keys of the policies to explain; by default all of the batch.
        """
        policies = self.batch.rows()
        if among is not None:
            policies = policies.join(among, list(self.form.key), "left_semi")
        return self._rows(policies, self.ready.sent(self._source), None)

    @cached_property
    def summary(self) -> SummaryPlan:
        """Return how the contributions are summed up."""
        config = self._portfolio.config
        contract = prepared_table(config.sources.policies, config.prepare)
        types = {column.name: column.type for column in contract.columns}
        segments = {name: types[name] == "double" for name in self._settings.segments}
        features = (f for m in self.ready.models for f in m.model.manifest.features)
        levels = levels_by_feature(features, segments)
        return SummaryPlan(self.ready.prices, levels, self._settings.segments)

    @property
    def replaced(self) -> Where:
        """Return the condition on the rows that the run replaces, of either table."""
        names = dict.fromkeys(price.name.partition(".")[0] for price in self.ready.prices)
        # A class's rows stand under NAME.CLASS; the version before may have had other classes.
        named = Among(("model_name",), tuple((name,) for name in names), head=True)
        return Where((*of_batch(self.run.batch).conditions, named))

    @property
    def _portfolio(self) -> Portfolio:
        return self.batch.source.portfolio

    @property
    def _settings(self) -> ExplainSettings:
        return self.batch.settings

    @property
    def columns(self) -> list[str]:
        """Return the columns of `prepared` that are read."""
        names = [feature.name for feature, _ in self.ready.here().inputs]
        key = self._portfolio.config.sources.policies.key
        return columns_read(key, [*names, *self._settings.segments])

    @cached_property
    def form(self) -> RowFormat:
        """Return what the rows of `explanations` hold."""
        policies, top = self._portfolio.config.sources.policies, self._settings.top
        contract, most = explanations(policies), None if top == "all" else int(top)
        return RowFormat(contract, tuple(policies.key), most, self.run.batch, self.run.run_id)

    def _fits_the_driver(self) -> bool:
        source, config = self.batch.source, self._portfolio.config
        rows = source.row_count * max(len(self.ready.prices), 1)
        most = min(config.spark.local_rows, IN_DRIVER)
        is_whole = source.row_count <= self._settings.rows_per_micro_batch
        return is_whole and rows <= most and has_to_arrow(self._portfolio.spark.version)

    def _in_driver(self) -> KeyedSums | None:
        run, settings, parts = self.run, self._settings, list[pa.RecordBatch]()
        with run.phase("explain"):
            policies = self.batch.held(self.columns)
            explain = remembering(self.ready.here().opened())
            sums = self.summary.state(explain) if settings.summary else None
            for batch in policies.to_batches(max_chunksize=settings.rows_per_arrow_batch):
                if sums is not None and batch.num_rows:
                    sums.add(batch)
                if settings.policies:
                    parts += [self.form.rows(rows, batch) for rows in explain(batch)]
        report_host(self.ready.here(), self.hosts)
        run.rows_in = policies.num_rows
        if settings.policies:
            with run.phase("write"):
                rows = pa.Table.from_batches(parts) if parts else []
                written = self._portfolio.tables.replace_arrow(
                    self.form.table, rows, run.run_id, self.replaced, batch=run.batch
                )
            run.outputs["explanations"] = written
        return sums

    def _on_executors(self) -> KeyedSums | None:
        explaining = self.ready.sent(self._source)
        if not self._settings.policies:
            return self._summed(explaining)
        report = SummaryReport(self._portfolio.spark)
        summing = Summing(self.summary, report) if self._settings.summary else None
        with self.run.phase("plan"):
            parts = self.batch.slices(self.run)
        rows_of = partial(self._rows, explaining=explaining, summing=summing)
        self.run.outputs["explanations"] = written = self._written(parts, rows_of)
        self.run.rows_in = written.rows // max(len(self.ready.prices), 1)
        if summing is None:
            return None
        return report.total(self.summary, self.run.rows_in) or self._summed(explaining)

    def _written(self, parts: list[DataFrame], rows_of: Any) -> Any:
        run, tables = self.run, self._portfolio.tables
        if len(parts) > 1:
            staged = staged_write(self._portfolio, run)
            return in_micro_batches(run, staged, parts, rows_of, self.replaced)
        with run.phase("write"):
            rows = rows_of(parts[0])
            return tables.replace(self.form.table, rows, run.run_id, self.replaced, batch=run.batch)

    def _rows(
        self, policies: DataFrame, explaining: ExplainingPass, summing: Summing | None
    ) -> DataFrame:
        return explained_frame(policies, self.columns, explaining, self.form, summing, self.hosts)

    def _summed(self, explaining: ExplainingPass) -> KeyedSums:
        """Return the sums of the whole batch, by a pass of their own that writes no rows."""
        plan, columns = self.summary, self.columns
        with self.run.phase("sum"):
            rows = ExecutorRows(self.batch.rows())
            return rows.aggregate(columns, lambda: plan.state(remembering(explaining.opened())))

    def _source(self, number: int, data: bytes) -> Any:
        """Return what is sent of a model: its path where the session cannot broadcast."""
        spark, model = self._portfolio.spark, self.ready.models[number]
        is_as_registered = model.name not in self.ready.measured
        if not can_broadcast(spark) and is_as_registered:
            return self.paths[number]
        return sent(spark, data)
