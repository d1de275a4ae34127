"""Make rows of table `explanations`: on the executors batch by batch, or in the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark import profiler
from kyros_spark.explanation.explaining_pass import Explain, ExplainingPass
from kyros_spark.explanation.price import ExplainedRows
from kyros_spark.explanation.ranking import listed
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.worker_seconds import WorkerSeconds
from kyros_spark.stages.explain.summary import SummaryPlan
from kyros_spark.stages.explain.summary_report import SummaryReport
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import quoted


@dataclass(frozen=True)
class Summing:
    """What is summed up while rows are made, and where the sums go."""

    plan: SummaryPlan
    report: SummaryReport


def report_host(explaining: ExplainingPass, report: HostReport | None) -> None:
    """Record, on a worker, which kernel explained each model."""
    if report is not None:
        for model in explaining.models:
            report.add(model.scored.parts[0].model, model.describe())


@dataclass(frozen=True)
class RowFormat:
    """What the rows hold beside the explanations.

    key: the policies' key. top: the most contributions that are listed; None: all. labels: the
    values of batch_id and run_id.
    """

    table: Table
    key: tuple[str, ...]
    top: int | None
    batch: str
    run_id: str

    def rows(self, explained: ExplainedRows, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of one price. batch: the policies, with key, exposure and features."""
        price, count = explained.price, batch.num_rows
        columns = [batch.column(name) for name in price.features]
        contributions, rest = listed(explained, columns, self.top)
        prediction = explained.prediction
        values = {
            **{name: batch.column(name) for name in self.key},
            "model_name": _repeated(price.name, count),
            "model_version": _repeated(price.version, count),
            "link": _repeated(price.link, count),
            "prediction": pa.array(prediction, mask=np.isnan(prediction)),
            "base": pa.array(np.full(count, explained.base)),
            "contributions": contributions,
            "rest": pa.array(rest, mask=~np.isfinite(rest)),
            "load": pa.array(np.full(count, price.shown_load)),
            "exposure": batch.column("exposure"),
            "batch_id": _repeated(self.batch, count),
            "run_id": _repeated(self.run_id, count),
        }
        return pa.RecordBatch.from_pydict({name: values[name] for name in self.table.names})


def columns_read(key: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the columns of `prepared` that explaining reads; names: features and segments."""
    return list(dict.fromkeys([*key, "exposure", *names]))


def explained_frame(
    prepared: DataFrame,
    columns: Sequence[str],
    explaining: ExplainingPass,
    form: RowFormat,
    summing: Summing | None = None,
    report: HostReport | None = None,
) -> DataFrame:
    """Return the rows of `explanations` for prepared rows: one per policy and price.

    summing: sums the contributions up on the way. report: collects what explained where.
    """

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with profiler.profiled("explain-worker"):
            explain = remembering(explaining.opened())
            sums = summing.plan.state(explain) if summing is not None else None
            seconds = WorkerSeconds()
            for batch in seconds.exchanged(batches):
                prices = explain(batch)
                seconds.charge("kernel")
                if sums is not None and batch.num_rows:
                    sums.add(batch)
                parts = [form.rows(rows, batch) for rows in prices]
                seconds.charge("conversion")
                yield from parts
        if summing is not None and sums is not None:
            summing.report.add(sums)
        if report is not None:
            report.spend(seconds.seconds)
            report_host(explaining, report)

    schema = ", ".join(f"{quoted(column.name)} {column.type}" for column in form.table.columns)
    return prepared.select(*map(quoted, columns)).mapInArrow(work, schema)


def remembering(explain: Explain) -> Explain:
    """Return the same function, which explains one batch once however often it is asked in turn."""
    last: list[tuple[pa.RecordBatch, list[ExplainedRows]]] = []

    def explained(batch: pa.RecordBatch) -> list[ExplainedRows]:
        if not last or last[0][0] is not batch:
            last[:] = [(batch, explain(batch))]
        return last[0][1]

    return explained


def _repeated(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)
