"""Compute columns of `predictions` from the models' responses, as `transforms.predicted` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.model.manifest import Feature, PredictionInterval
from kyros_spark.model.predicted_column import UNSEEN, UNSEEN_LEVEL, PredictedColumn
from kyros_spark.scoring.arrow_features import is_unseen

Columns = dict[str, pa.Array]
Totals = dict[str, Any]


def values(
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

    def column(numbers: np.ndarray) -> pa.Array:
        return pa.array(numbers, pa.float64(), mask=missing)

    none = pa.nulls(value.size, pa.float64())
    columns = {"prediction": column(value), "expected": none, "lower": none, "upper": none}
    if output.per_exposure:
        columns["expected"] = column(value * exposure)
    if output.interval is not None:
        units = exposure if output.per_exposure else np.ones(value.size)
        lower, upper = _bounds(value, units, output.interval)
        columns |= {"lower": column(lower), "upper": column(upper)}
    return columns


def totals_of(output: PredictedColumn, columns: Columns) -> Totals:
    """Return how many predictions of an output are not finite, and what it expects in all."""
    finite = np.isfinite(columns["prediction"].to_numpy(zero_copy_only=False))
    totals: Totals = {f"bad{output.column}": int((~finite).sum())}
    if output.per_exposure:
        totals[f"expected{output.column}"] = pc.sum(columns["expected"]).as_py()
    return totals


def unseen(features: Sequence[Feature], batches: Sequence[pa.RecordBatch]) -> Totals:
    """Count the rows whose level training never saw, by feature, and name one such level."""
    totals: Totals = {}
    for feature in features:
        if feature.kind == "levels":
            columns = [batch.column(feature.name) for batch in batches]
            rows = [column.filter(pa.array(is_unseen(feature, column))) for column in columns]
            totals[f"{UNSEEN}{feature.name}"] = sum(map(len, rows))
            levels = [str(level) for column in rows for level in column.unique().to_pylist()]
            totals[f"{UNSEEN_LEVEL}{feature.name}"] = max(levels, default=None)
    return totals


def summed(totals: Sequence[Totals]) -> Totals:
    """Return the totals of several parts of a batch as those of the whole."""
    sums: Totals = {}
    for part in totals:
        for name, value in part.items():
            before = sums.get(name)
            if value is None or before is None:
                sums[name] = before if value is None else value
            else:
                sums[name] = max(before, value) if isinstance(value, str) else before + value
    return sums


def _bounds(
    predicted: np.ndarray, units: np.ndarray, interval: PredictionInterval
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval around predictions, as `transforms.interval.bounds` does."""
    spread = predicted ** (interval.power / 2) / np.sqrt(units)
    ends = (predicted + end * spread for end in (interval.below, interval.above))
    lower, upper = (np.maximum(end, 0.0) for end in ends)
    return lower, upper
