"""Score a batch of few rows in the driver: Spark encodes them and is asked for them once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce
from operator import mul

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.aggregates.rows import collected
from kyros_spark.config import Config
from kyros_spark.model.manifest import PredictionInterval
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scoring_pass import Batch, scores
from kyros_spark.scoring.udf import encoded_inputs
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.predict.scoring_plan import ScoringPlan
from kyros_spark.tables.predictions import predictions as predictions_table
from kyros_spark.transforms.predicted import PredictedColumn, encoded_rows, input_name

Columns = dict[str, pa.Array]
_MICROSECONDS = pa.timestamp("us", tz="UTC")


def predicted_rows(
    plan: ScoringPlan, prepared: DataFrame, config: Config, run: Run, report: HostReport
) -> tuple[pa.Table, dict[str, float]]:
    """Return the rows of `predictions` for prepared rows, and the totals of the whole batch."""
    key = config.sources.policies.key
    inputs, arguments = encoded_inputs(plan.models)
    rows = collected(encoded_rows(prepared, key, plan.features, inputs)).table
    encoded = rows.select([input_name(n) for n in range(len(inputs))])
    batches = _batches(encoded, config.predict.rows_per_arrow_batch)
    responses = scores(plan.models, arguments, batches, config.predict.kernel, report)
    totals: dict[str, float] = {"_rows": rows.num_rows}
    for name in rows.column_names:
        if name.startswith("unseen_"):
            totals[name] = pc.sum(rows[name]).as_py() or 0
    exposure, parts = rows["exposure"].to_numpy(), []
    shared = {name: rows[name] for name in (*key, "exposure", "input_hash")}
    constants = {"predicted_at": datetime.now(UTC), "batch_id": run.batch, "run_id": run.run_id}
    for output in plan.outputs:
        values = _values(output, responses, exposure)
        if output.per_exposure:
            totals[f"expected{output.column}"] = pc.sum(values["expected"]).as_py()
        names = {"model_name": output.name, "model_version": output.version}
        same = _repeated({**names, **constants}, rows.num_rows)
        part = pa.Table.from_pydict({**shared, **values, **same})
        parts.append(part.select(predictions_table(config.sources.policies).names))
    return pa.concat_tables(parts), totals


def _batches(encoded: pa.Table, size: int) -> Iterator[Batch]:
    """Yield the columns as the UDF takes them: integers, and doubles with NaN where NULL."""
    for first in range(0, max(encoded.num_rows, 1), size):
        part = encoded.slice(first, size)
        yield tuple(column.to_pandas() for column in part.columns)


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
    return rows <= config.spark.local_rows and has_to_arrow(spark.version)
