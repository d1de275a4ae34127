"""Turn a prepared batch and the responses of its models into rows of table `predictions`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.model.manifest import Feature
from kyros_spark.model.predicted_column import UNSEEN, UNSEEN_LEVEL, PredictedColumn
from kyros_spark.tables.ddl import number_text, quoted
from kyros_spark.transforms.encode import input_hash, is_unseen
from kyros_spark.transforms.interval import bounds


def scored(
    prepared: DataFrame,
    key: Sequence[str],
    features: Sequence[Feature],
    score: Column,
    outputs: Sequence[PredictedColumn],
) -> DataFrame:
    """Return one row per policy: key, exposure, a hash of the features, and every output."""
    names = [feature.name for feature in features]
    needed = prepared.select(*key, "exposure", *names)
    rows = needed.withColumns({"_score": score, "input_hash": input_hash(names)})
    for output in outputs:
        value = F.expr(value_sql(output, "_score"))
        rows = rows.withColumn(output.column, value)
        if output.interval is not None:
            # Without an exposure the interval is of one unit: a severity's is that of one claim.
            units = F.col("exposure") if output.per_exposure else F.lit(1.0)
            lower, upper = bounds(F.col(output.column), units, output.interval)
            ends = {f"{output.column}_lower": lower, f"{output.column}_upper": upper}
            rows = rows.withColumns(ends)
    return rows


def value_sql(output: PredictedColumn, score: str) -> str:
    """Write an output's value as SQL; ``score``, also SQL text, is the struct of the responses."""
    value = " * ".join(f"{score}.{quoted(part)}" for part in output.parts)
    if output.factor != 1.0:
        value += f" * {number_text(output.factor)}"
    if output.load:
        value += f" + {number_text(output.load)}"
    return value


def prediction_totals(
    features: Sequence[Feature], outputs: Sequence[PredictedColumn]
) -> list[Column]:
    """Return the aggregates computed along with the write.

    They are rows of unseen levels with one of these levels, predictions that are not finite, and
    expected totals.
    """
    levels = [feature for feature in features if feature.kind == "levels"]
    unseen = []
    for feature in levels:
        level = F.when(is_unseen(feature), F.col(feature.name).cast("string"))
        unseen += [F.count(level).alias(f"{UNSEEN}{feature.name}")]
        unseen += [F.max(level).alias(f"{UNSEEN_LEVEL}{feature.name}")]
    totals = [
        F.sum(F.col(o.column) * F.col("exposure")).alias(f"expected{o.column}")
        for o in outputs
        if o.per_exposure
    ]
    bad = [F.count_if(is_not_finite(F.col(o.column))).alias(f"bad{o.column}") for o in outputs]
    return [*unseen, *bad, *totals]


def is_not_finite(value: Column) -> Column:
    """Tell whether a number is NaN or infinite; Spark orders NaN above infinity."""
    return ~(F.abs(value) <= sys.float_info.max)


def long_rows(
    rows: DataFrame, key: Sequence[str], outputs: Sequence[PredictedColumn], batch: str, run_id: str
) -> DataFrame:
    """Return one row per policy and output, as table `predictions` holds them."""
    entries = F.array(
        *(
            F.struct(
                F.lit(o.name).alias("model_name"),
                F.lit(o.version).alias("model_version"),
                F.col(o.column).alias("prediction"),
                (F.col(o.column) * F.col("exposure") if o.per_exposure else F.lit(None))
                .cast("double")
                .alias("expected"),
                *(
                    (F.col(f"{o.column}_{end}") if o.interval is not None else F.lit(None))
                    .cast("double")
                    .alias(end)
                    for end in ("lower", "upper")
                ),
            )
            for o in outputs
        )
    )
    return rows.select(*key, F.inline(entries), "exposure", "input_hash").withColumns(
        {
            "predicted_at": F.current_timestamp(),
            "batch_id": F.lit(batch),
            "run_id": F.lit(run_id),
        }
    )
