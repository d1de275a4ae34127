"""Score a batch of few rows in the driver, by the kernels that the workers use for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from functools import reduce
from operator import mul
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kyros_spark.aggregates.rows import BATCH_ROWS
from kyros_spark.config import Config
from kyros_spark.model.manifest import PredictionInterval
from kyros_spark.runs.run import Run
from kyros_spark.scoring.arrow_features import is_unseen
from kyros_spark.scoring.arrow_hash import row_hashes
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scoring_pass import scores
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.predict.scoring_plan import ScoringPlan
from kyros_spark.tables.predictions import predictions as predictions_table
from kyros_spark.transforms.predicted import UNSEEN, UNSEEN_LEVEL, PredictedColumn

Columns = dict[str, pa.Array]
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
    totals = {"_rows": rows.num_rows, **_unseen(plan, batches)}
    exposure, parts = rows["exposure"].to_numpy(), []
    shared = {**{name: rows[name] for name in key}, "exposure": rows["exposure"]}
    shared["input_hash"] = pa.chunked_array(hashes)
    constants = {"predicted_at": datetime.now(UTC), "batch_id": run.batch, "run_id": run.run_id}
    for output in plan.outputs:
        values = _values(output, responses, exposure)
        finite = np.isfinite(values["prediction"].to_numpy(zero_copy_only=False))
        totals[f"bad{output.column}"] = int((~finite).sum())
        if output.per_exposure:
            totals[f"expected{output.column}"] = pc.sum(values["expected"]).as_py()
        described = {"model_name": output.name, "model_version": output.version}
        same = _repeated({**described, **constants}, rows.num_rows)
        part = pa.Table.from_pydict({**shared, **values, **same})
        parts.append(part.select(predictions_table(config.sources.policies).names))
    return parts, totals


def columns_read(plan: ScoringPlan, config: Config) -> list[str]:
    """Return the columns of `prepared` that scoring reads."""
    features = (feature.name for feature in plan.features)
    return list(dict.fromkeys([*config.sources.policies.key, "exposure", *features]))


def _unseen(plan: ScoringPlan, batches: Sequence[pa.RecordBatch]) -> dict[str, Any]:
    """Count the rows whose level training never saw, by feature, and name one such level."""
    totals: dict[str, Any] = {}
    for feature in plan.features:
        if feature.kind == "levels":
            columns = [batch.column(feature.name) for batch in batches]
            rows = [column.filter(pa.array(is_unseen(feature, column))) for column in columns]
            totals[f"{UNSEEN}{feature.name}"] = sum(map(len, rows))
            levels = [str(level) for column in rows for level in column.unique().to_pylist()]
            totals[f"{UNSEEN_LEVEL}{feature.name}"] = max(levels, default=None)
    return totals


def _with_codes(rows: pa.Table, names: Set[str]) -> pa.Table:
    """Return the rows with texts among the named columns as codes, so that each is read once."""
    for n, name in enumerate(rows.column_names):
        if name in names and pa.types.is_string(rows[name].type):
            rows = rows.set_column(n, name, rows[name].dictionary_encode())
    return rows


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _values(
    output: PredictedColumn, responses: Mapping[str, np.ndarray], exposure: np.ndarray
) -> Columns:
    """Return prediction, expected value and interval of one output, as `scored` computes them."""
    parts = [responses[name] for name in output.parts]
    # A response that is not a number leaves a worker as NULL.
    missing = np.any([np.isnan(part) for part in parts], axis=0)
    value = reduce(mul, parts)
    if output.factor != 1.0:
        value = value * output.factor
    if output.load:
        value = value + output.load

    def column(values: np.ndarray) -> pa.Array:
        return pa.array(values, pa.float64(), mask=missing)

    none = pa.nulls(value.size, pa.float64())
    columns = {"prediction": column(value), "expected": none, "lower": none, "upper": none}
    if output.per_exposure:
        columns["expected"] = column(value * exposure)
    if output.interval is not None:
        units = exposure if output.per_exposure else np.ones(value.size)
        lower, upper = _bounds(value, units, output.interval)
        columns |= {"lower": column(lower), "upper": column(upper)}
    return columns


def _bounds(
    predicted: np.ndarray, units: np.ndarray, interval: PredictionInterval
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval around predictions, as `transforms.interval.bounds` does."""
    spread = predicted ** (interval.power / 2) / np.sqrt(units)
    ends = (predicted + end * spread for end in (interval.below, interval.above))
    lower, upper = (np.maximum(end, 0.0) for end in ends)
    return lower, upper


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
