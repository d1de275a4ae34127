"""Join predictions to prepared policies in this process: see rows.with_predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.evaluation.arrays import BatchArrays, Numbers
from kyros_spark.evaluation.subjects import WITH_EXCESS, EvaluatedModel


class LocalJoin:
    """Prepared rows, to which the predictions of one model after another are joined."""

    def __init__(self, prepared: pa.Table, key: Sequence[str]) -> None:
        """Take the prepared rows and the columns of their key."""
        self._key = tuple(key)
        self._keys = KeyNumbers([prepared.column(name) for name in key])
        self._columns = {n: prepared.column(n) for n in prepared.column_names if n not in key}
        if "claim_excess" in self._columns:
            amounts = (self._columns[name] for name in ("claim_amount", "claim_excess"))
            self._columns[WITH_EXCESS] = pc.add(*amounts)

    def add(self, model: EvaluatedModel, rows: pa.Table) -> None:
        """Join a model's predictions: the key's columns and ``prediction``.

        A policy that has none gets NULL; one that has several gets the largest, as on the
        executors.
        """
        numbers = self._keys.numbers([rows.column(name) for name in self._key])
        largest = _largest(numbers, BatchArrays(rows).numbers("prediction"), self._keys.count)
        of_rows = self._keys.of_rows
        given = (of_rows >= 0) & largest.given[of_rows]
        self._columns[model.prediction] = pa.array(largest.values[of_rows], mask=~given)

    def rows(self) -> pa.Table:
        """Return the prepared rows without their key, with a column of predictions per model."""
        columns = {name: _compact(column) for name, column in self._columns.items()}
        return pa.Table.from_pydict(columns)


class KeyNumbers:
    """A number for each distinct key; -1 for a key that has a NULL, which equals none."""

    def __init__(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """Number the keys of these columns' rows."""
        self._own = columns
        self._values = [pc.unique(_plain(column)) for column in columns]
        self._pairs: list[np.ndarray] = []  # per further column: the distinct pairs of numbers
        numbers = self._codes(0, columns[0])
        for n, column in enumerate(columns[1:], start=1):
            pairs = self._paired(n, numbers, column)
            self._pairs.append(np.unique(pairs[pairs >= 0]))
            numbers = _position(pairs, self._pairs[-1])
        self.of_rows = numbers
        self.count = self._pairs[-1].size if self._pairs else len(self._values[0])

    def numbers(self, columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
        """Return the numbers of other rows' keys; -1 for a key that is not among ours."""
        # Predictions are usually written in the order of the policies that they are of.
        if all(map(_same, columns, self._own)):
            return self.of_rows
        numbers = self._codes(0, columns[0])
        for n, column in enumerate(columns[1:], start=1):
            numbers = _position(self._paired(n, numbers, column), self._pairs[n - 1])
        return numbers

    def _paired(self, n: int, numbers: np.ndarray, column: pa.ChunkedArray) -> np.ndarray:
        codes = self._codes(n, column)
        return np.where((numbers < 0) | (codes < 0), -1, numbers * len(self._values[n]) + codes)

    def _codes(self, n: int, column: pa.ChunkedArray) -> np.ndarray:
        values = self._values[n]
        plain = _plain(column).cast(values.type)
        codes = pc.index_in(plain, value_set=values, skip_nulls=True)
        return np.asarray(pc.fill_null(codes, -1)).astype(np.int64)


def _same(column: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Return whether two columns hold the same values in the same order, and no NULL."""
    if len(column) != len(other) or column.null_count or other.null_count:
        return False
    first, second = _plain(column), _plain(other)
    return bool(first.type == second.type and pc.all(pc.equal(first, second)).as_py())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without a dictionary, by which rows of two tables cannot be compared."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column


def _position(pairs: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    """Return each pair's place among the distinct ones; -1 where it is not among them."""
    if not distinct.size:
        return np.full(pairs.size, -1)
    place = np.minimum(np.searchsorted(distinct, pairs), distinct.size - 1)
    return np.where(distinct[place] == pairs, place, -1)


def _largest(numbers: np.ndarray, values: Numbers, count: int) -> Numbers:
    """Return the largest value of each number from 0 to count - 1; NaN is above all others."""
    used = np.flatnonzero((numbers >= 0) & values.given)
    largest = np.full(max(count, 1), -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(largest, numbers[used], values.values[used])
    return Numbers(largest, np.bincount(numbers[used], minlength=largest.size) > 0)


def _compact(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return a column of texts as a dictionary, which each batch of it then shares."""
    if not pa.types.is_string(column.type):
        return column
    return column.dictionary_encode().unify_dictionaries()
