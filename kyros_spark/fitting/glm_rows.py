"""Hold a GLM's rows on the driver, collapsed on the driver, or on the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.design import layout_of
from kyros_spark.fitting.irls import Rows
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.fitting.spark_rows import SparkRows
from kyros_spark.model.manifest import Feature
from kyros_spark.spark.persisted import persisted
from kyros_spark.transforms.encode import encoded

MAX_COLUMNS = 5_000  # beyond it X'WX takes more than 200 MB, on the driver and on each worker
LOCAL_ROWS, LOCAL_CELLS = 2_000_000, 50_000_000  # at most 400 MB on the driver


@dataclass(frozen=True)
class GlmRows:
    """Rows to fit on, rows to compute statistics on, and where they are held.

    fitted and judged are the same rows unless equal rows were collapsed for the fit.
    """

    fitted: Rows
    judged: Rows
    where: str


@contextmanager
def glm_rows(
    rows: DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> Iterator[GlmRows]:
    """Encode the rows as scoring does, and hold them until the fit is done.

    Few rows are collected on the driver. If there are many rows but few distinct ones, equal rows
    of the design are collapsed first: with summed weights and averaged labels they have the same
    solution. All others stay on the cluster, with one pass over them per iteration.

    Raises:
        TrainingDataError: the design has more columns than the solver accepts.
    """
    _check_size(features)
    design = _design(rows, features)
    summary = _summary(design, features, settings)
    names = [feature.name for feature in features if feature.kind == "numeric"]
    layout = layout_of(
        features,
        {name: summary[f"_mean_{name}"] or 0.0 for name in names},
        {name: summary[f"_scale_{name}"] or 0.0 for name in names},
    )
    all_rows = SparkRows(design, layout, summary["rows"])
    if _is_small(summary["rows"], len(features)):
        local = LocalRows(all_rows.collected(), layout)
        yield GlmRows(local, local, "driver")
    elif _is_small(int(summary["distinct"] * 1.1), len(features)):
        collapsed = SparkRows(_collapsed(design, features, settings), layout, summary["rows"])
        fitted = LocalRows(collapsed.collected(), layout)
        fitted.count = summary["rows"]
        yield GlmRows(fitted, all_rows, f"driver, {summary['rows']} rows collapsed")
    else:
        with persisted(design) as stored:
            on_cluster = SparkRows(stored, layout, summary["rows"])
            yield GlmRows(on_cluster, on_cluster, "cluster")


def _check_size(features: Sequence[Feature]) -> None:
    size = 1 + sum(len(feature.levels) or 1 for feature in features)
    if size > MAX_COLUMNS:
        widest = max(features, key=lambda feature: len(feature.levels))
        raise TrainingDataError(
            f"the GLM: expected at most {MAX_COLUMNS} columns, found {size}, "
            f"{len(widest.levels)} of them levels of {widest.name}; lower max_levels, raise "
            "min_level_share, or use method: boosting"
        )


def _is_small(rows: int, width: int) -> bool:
    return rows <= LOCAL_ROWS and rows * (width + 3) <= LOCAL_CELLS


def _design(rows: DataFrame, features: Sequence[Feature]) -> DataFrame:
    nan = F.lit(float("nan"))
    columns = []
    for feature in features:
        value = encoded(feature, impute=True)
        numeric = feature.kind == "numeric"
        columns.append(F.coalesce(value, nan).alias(feature.name) if numeric else value)
    response = [F.col(name).cast("double").alias(name) for name in (LABEL, WEIGHT, OFFSET)]
    return rows.select(*columns, *response)


def _summary(
    design: DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> dict[str, Any]:
    """Return the counts of rows and distinct rows, and each number's mean and scale."""
    numbers = {f.name: _finite(F.col(f.name)) for f in features if f.kind == "numeric"}
    keys = _group_columns(features, settings)
    row = design.agg(
        F.count(F.lit(1)).alias("rows"),
        F.approx_count_distinct(F.xxhash64(*keys), 0.02).alias("distinct"),
        *(F.avg(value).alias(f"_mean_{name}") for name, value in numbers.items()),
        *(F.stddev_pop(value).alias(f"_scale_{name}") for name, value in numbers.items()),
    ).first()
    assert row is not None
    return row.asDict()


def _finite(value: Column) -> Column:
    return F.when(F.abs(value) < F.lit(float("inf")), value)


def _absorbs_offset(settings: ModelSettings) -> bool:
    """Tell whether rows of different offsets can be collapsed into one."""
    return settings.glm.link == "log" and settings.family != "negative_binomial"


def _group_columns(features: Sequence[Feature], settings: ModelSettings) -> list[str]:
    names = [feature.name for feature in features]
    return names if _absorbs_offset(settings) else [*names, OFFSET]


def _collapsed(
    design: DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> DataFrame:
    """Collapse equal rows into one with their total weight and their weighted mean label.

    With a log link and variance mu^p, an offset is equivalent to dividing the label by
    e = exp(offset) and multiplying the weight by e^(2 - p). Offsets then need not be equal.
    """
    weight, label = F.col(WEIGHT), F.col(LABEL)
    if _absorbs_offset(settings):
        # Tweedie's label is already per unit, its offset zero: any power will do.
        power = {"poisson": 1.0, "gamma": 2.0, "tweedie": 2.0}[settings.family]
        unit = F.exp(OFFSET)
        weight, label = weight * F.pow(unit, F.lit(2.0 - power)), label / unit
    total = F.sum(weight)
    sums = design.groupBy(*_group_columns(features, settings)).agg(
        (F.sum(weight * label) / total).alias("_mean"), total.alias("_total")
    )
    offset = F.lit(0.0) if _absorbs_offset(settings) else F.col(OFFSET)
    names = [F.col(feature.name) for feature in features]
    return sums.select(
        *names, F.col("_mean").alias(LABEL), F.col("_total").alias(WEIGHT), offset.alias(OFFSET)
    )
