"""List the largest contributions of each row as Arrow, and sum up the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.explanation.price import ExplainedRows


@dataclass(frozen=True)
class Ranked:
    """The listed contributions of n rows, row after row, each row's in order of size.

    feature   int64[listed], the feature's number
    row       int64[listed]
    offsets   int32[n + 1], where each row's begin
    """

    feature: np.ndarray
    row: np.ndarray
    offsets: np.ndarray


def ranked(values: np.ndarray, top: int | None) -> Ranked:
    """Return the ``top`` contributions of each row, largest absolute value first.

    values: float64[n, features]. A contribution of 0 is not among the largest ones; without a
    ``top`` all are listed, also these. NaN counts as the largest. Of equal ones, the feature that
    comes first does.
    """
    size = np.abs(values)
    size[np.isnan(size)] = np.inf
    count = values.shape[1] if top is None else min(top, values.shape[1])
    order = np.argsort(-size, axis=1, kind="stable")[:, :count]
    is_listed = np.take_along_axis(size, order, axis=1) > (-1.0 if top is None else 0.0)
    row, _ = np.nonzero(is_listed)
    offsets = np.concatenate([[0], np.cumsum(is_listed.sum(axis=1))]).astype(np.int32)
    return Ranked(order[is_listed], row, offsets)


def listed(
    explained: ExplainedRows, columns: Sequence[pa.Array], top: int | None
) -> tuple[pa.ListArray, np.ndarray]:
    """Return the listed contributions, as table `explanations` holds them, and the rest.

    columns: the price's features as table `prepared` holds them. The rest, float64[n], is the raw
    score less base and listed contributions: the others' sum and what rounding left. It is NaN
    where the raw score is infinite.
    """
    values, price = explained.values, explained.price
    ranking = ranked(values, top)
    amounts = values[ranking.row, ranking.feature]
    sums = np.bincount(ranking.row, amounts, minlength=values.shape[0])
    with np.errstate(invalid="ignore", over="ignore"):
        rest = explained.raw - explained.base - sums
        factors = np.exp(amounts)
    structs = pa.StructArray.from_arrays(
        [
            pa.array(price.features, pa.string()).take(pa.array(ranking.feature)),
            _texts(columns, ranking),
            pa.array(amounts),
            pa.array(factors) if price.multiplies else pa.nulls(amounts.size, pa.float64()),
        ],
        ["feature", "value", "contribution", "relativity"],
    )
    return pa.ListArray.from_arrays(pa.array(ranking.offsets), structs), rest


def _texts(columns: Sequence[pa.Array], ranking: Ranked) -> pa.Array:
    """Return the level or value behind each listed contribution as text; NULL where missing."""
    by_feature = np.argsort(ranking.feature, kind="stable")
    borders = np.searchsorted(ranking.feature[by_feature], np.arange(len(columns) + 1))
    parts = [
        as_text(column.take(pa.array(ranking.row[by_feature[first:last]])))
        for column, first, last in zip(columns, borders, borders[1:], strict=False)
        if last > first
    ]
    if not parts:
        return pa.array([], pa.string())
    back = np.empty_like(by_feature)
    back[by_feature] = np.arange(by_feature.size)
    return pa.concat_arrays(parts).take(pa.array(back))


def as_text(column: pa.Array) -> pa.Array:
    """Return a feature's values as text, as a person reads them: 58 for 58.0."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pc.cast(column, pa.string())
