"""Hold a GLM's rows on the driver, collapsed on the driver, or on the cluster."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import with_columns
from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, sums_of, whole
from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource
from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.design import Block, Layout, layout_of
from kyros_spark.fitting.irls import Rows
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.fitting.segments.columns import columns_of
from kyros_spark.fitting.segments.pooled_rows import PooledRows
from kyros_spark.fitting.spark_rows import SparkRows
from kyros_spark.model.manifest import Feature
from kyros_spark.scoring.arrow_features import as_doubles, encoded
from kyros_spark.spark.persisted import persisted
from kyros_spark.tables.ddl import quoted

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
    rows: RowSource, features: Sequence[Feature], settings: ModelSettings
) -> Iterator[GlmRows]:
    """Encode the rows as scoring does, and hold them until the fit is done.

    Few rows are collected on the driver. If there are many rows but few distinct ones, equal rows
    of the design are collapsed first: with summed weights and averaged labels they have the same
    solution. All others stay on the cluster, with one pass over them per iteration.

    Raises:
        TrainingDataError: the design has more columns than the solver accepts.
    """
    _check_size(features)
    names = [feature.name for feature in features]
    columns = [*names, LABEL, WEIGHT, OFFSET]
    design = rows.changed(columns, lambda batch: design_batch(batch, features))
    count, centre, scale = _moments(design, features)
    layout = layout_of(features, centre, scale)
    if isinstance(design, DriverRows):
        local: LocalRows
        if settings.by:
            dense, numbers = columns_of(layout).dense(count)
            local = PooledRows(_block(design, layout, numbers), layout, dense)
        else:
            local = LocalRows(_block(design, layout), layout)
        yield GlmRows(local, local, "driver")
        return
    assert isinstance(design, ExecutorRows)
    frame = design.as_frame()
    all_rows = SparkRows(frame, layout, count)
    if _is_small(count, len(features)):
        local = LocalRows(all_rows.collected(), layout)
        yield GlmRows(local, local, "driver")
    elif _is_small(int(_distinct(frame, features, settings) * 1.1), len(features)):
        collapsed = SparkRows(_collapsed(frame, features, settings), layout, count)
        fitted = LocalRows(collapsed.collected(), layout)
        fitted.count = count
        yield GlmRows(fitted, all_rows, f"driver, {count} rows collapsed")
    else:
        with persisted(frame) as stored:
            on_cluster = SparkRows(stored, layout, count)
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


def design_batch(batch: pa.RecordBatch, features: Sequence[Feature]) -> pa.RecordBatch:
    """Return level codes and numbers as scoring encodes them, with label, weight and offset."""
    columns = {}
    for feature in features:
        values = encoded(feature, batch.column(feature.name), impute=True)
        columns[feature.name] = values if feature.kind == "numeric" else values.astype(np.int32)
    ends = {name: as_doubles(batch.column(name)) for name in (LABEL, WEIGHT, OFFSET)}
    return with_columns(batch, (), columns | ends)


def _moments(
    design: RowSource, features: Sequence[Feature]
) -> tuple[int, dict[str, float], dict[str, float]]:
    """Return the number of rows, and each number's mean and standard deviation.

    Rows without a finite number are left out of its own two.
    """
    names = [feature.name for feature in features if feature.kind == "numeric"]

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        yield whole(batch, "", {})
        for name in names:
            values = as_doubles(batch.column(name))
            finite = np.isfinite(values)
            values = np.where(finite, values, 0.0)
            measures = {"count": finite.astype(float), "sum": values, "square": values * values}
            yield whole(batch, f"number {name}", measures)

    sums = sums_of(design, [*names, LABEL], ("count", "sum", "square"), grouping)
    centre, scale = {}, {}
    for name in names:
        totals = sums.get(f"number {name}", {"": dict.fromkeys(("count", "sum", "square"), 0.0)})
        count = totals[""]["count"] or 1.0
        centre[name] = totals[""]["sum"] / count
        scale[name] = math.sqrt(max(totals[""]["square"] / count - centre[name] ** 2, 0.0))
        # What is left of a constant's square after rounding is no spread.
        if scale[name] < 1e-7 * abs(centre[name]):
            scale[name] = 0.0
    return int(sums.get("", {"": {ROWS: 0.0}})[""][ROWS]), centre, scale


def _block(design: DriverRows, layout: Layout, out: np.ndarray | None = None) -> Block:
    """Return all rows of a design as the kernels read them.

    out: see `Layout.block_of`
    """

    def arrays(names: Sequence[str]) -> list[np.ndarray]:
        return [design.table.column(name).to_numpy() for name in names]

    codes = np.empty((design.table.num_rows, len(layout.factors)), np.int32)
    for k, values in enumerate(arrays(layout.factors)):
        codes[:, k] = values
    return layout.block_of(codes, arrays(layout.numbers), arrays((LABEL, WEIGHT, OFFSET)), out)


def _distinct(frame: DataFrame, features: Sequence[Feature], settings: ModelSettings) -> int:
    """Return roughly how many rows are left if equal ones are collapsed."""
    key = F.xxhash64(*map(quoted, _group_columns(features, settings)))
    row = frame.agg(F.approx_count_distinct(key, 0.02).alias("distinct")).first()
    assert row is not None
    return int(row["distinct"])


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
