"""Score a batch of few rows in the driver, by the kernels that the workers use for many."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from kyros_spark.aggregates.rows import BATCH_ROWS
from kyros_spark.config import Config
from kyros_spark.model.predicted_column import ROWS
from kyros_spark.runs.run import Run
from kyros_spark.scoring.arrow_features import as_doubles
from kyros_spark.scoring.arrow_hash import row_hashes
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.prediction_values import Columns, totals_of, unseen, values
from kyros_spark.scoring.scoring_pass import scores
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.predict.scoring_plan import ScoringPlan
from kyros_spark.tables.predictions import predictions as predictions_table

_MICROSECONDS = pa.timestamp("us", tz="UTC")


def predicted_rows(
    plan: ScoringPlan, rows: pa.Table, config: Config, run: Run, report: HostReport
) -> tuple[list[pa.Table], dict[str, Any]]:
    """Return the rows of `predictions` by output, and the totals of the whole batch.

    rows: the columns of `columns_read`.
    """
    key = config.sources.policies.key
    coded = _with_codes(rows, {feature.name for feature in plan.features})
    batches = coded.to_batches(max_chunksize=BATCH_ROWS) or [_nothing(coded.schema)]
    responses = scores(plan.models, batches, config.predict.kernel, report)
    names = [feature.name for feature in plan.features]
    hashes = [row_hashes(map(batch.column, names), batch.num_rows) for batch in batches]
    totals = {ROWS: rows.num_rows, **unseen(plan.features, batches)}
    exposure, parts = as_doubles(rows["exposure"]), []
    shared = {**{name: rows[name] for name in key}, "exposure": rows["exposure"]}
    shared["input_hash"] = pa.chunked_array(hashes)
    constants = {"predicted_at": datetime.now(UTC), "batch_id": run.batch, "run_id": run.run_id}
    for output in plan.outputs:
        computed = values(output, responses, exposure)
        totals |= totals_of(output, computed)
        described = {"model_name": output.name, "model_version": output.version}
        same = _repeated({**described, **constants}, rows.num_rows)
        part = pa.Table.from_pydict({**shared, **computed, **same})
        parts.append(part.select(predictions_table(config.sources.policies).names))
    return parts, totals


def columns_read(plan: ScoringPlan, config: Config) -> list[str]:
    """Return the columns of `prepared` that scoring reads."""
    features = (feature.name for feature in plan.features)
    return list(dict.fromkeys([*config.sources.policies.key, "exposure", *features]))


def _with_codes(rows: pa.Table, names: Set[str]) -> pa.Table:
    """Return the rows with texts among the named columns as codes, so that each is read once."""
    for n, name in enumerate(rows.column_names):
        if name in names and pa.types.is_string(rows[name].type):
            rows = rows.set_column(n, name, rows[name].dictionary_encode())
    return rows


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _repeated(values: Mapping[str, object], rows: int) -> Columns:
    """Return columns that hold one value throughout."""
    return {
        name: pa.repeat(
            pa.scalar(value, _MICROSECONDS if isinstance(value, datetime) else pa.string()), rows
        )
        for name, value in values.items()
    }


def rows_fit(spark: SparkSession, config: Config, plan: ScoringPlan, policies: int) -> bool:
    """Return whether the driver can hold the predictions of so many policies."""
    rows = policies * max(len(plan.outputs), 1)
    whole = policies <= config.predict.rows_per_micro_batch
    return whole and rows <= config.spark.local_rows and has_to_arrow(spark.version)
