"""Join predictions to prepared policies in this process: see rows.with_predictions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.evaluation.arrays import BatchArrays, Numbers
from kyros_spark.evaluation.subjects import WITH_EXCESS, EvaluatedModel


class LocalJoin:
    """Prepared rows, to which the predictions of one model after another are joined."""

    def __init__(self, prepared: pa.Table, key: Sequence[str]) -> None:
        """Take the prepared rows and the columns of their key, which no two rows share."""
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
        keys, predictions = [rows.column(name) for name in self._key], rows.column("prediction")
        if self._keys.are(keys):
            self._columns[model.prediction] = predictions
            return
        places = self._keys.places_among(keys)
        if places is not None:
            self._columns[model.prediction] = predictions.combine_chunks().take(pa.array(places))
            return
        numbers, of_rows = self._keys.numbers(keys), self._keys.of_rows
        largest = _largest(numbers, BatchArrays(rows).numbers("prediction"), self._keys.count)
        given = (of_rows >= 0) & largest.given[of_rows]
        self._columns[model.prediction] = pa.array(largest.values[of_rows], mask=~given)

    def rows(self) -> pa.Table:
        """Return the prepared rows without their key, with a column of predictions per model."""
        columns = {name: _compact(column) for name, column in self._columns.items()}
        return pa.Table.from_pydict(columns)


class KeyNumbers:
    """A number for each distinct key; -1 for a key that has a NULL, which equals none.

    Predictions are usually written in the order of the policies that they are of, or at least those
    of one model in the order of another's: such keys are searched once or never, and not numbered.
    """

    def __init__(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """Take the key's columns."""
        self._own = columns
        self._last: tuple[Sequence[pa.ChunkedArray], np.ndarray | None] = (), None

    def are(self, columns: Sequence[pa.ChunkedArray]) -> bool:
        """Return whether other rows have the same keys in the same order."""
        return all(map(_same, columns, self._own))

    def places_among(self, columns: Sequence[pa.ChunkedArray]) -> np.ndarray | None:
        """Return where each of our keys is among others, int64[n], where both hold the same keys.

        None where they do not, where a key comes twice, or is of several columns.
        """
        last, places = self._last
        if last and all(map(_same, columns, last)):
            return places
        self._last = columns, self._searched(columns) if len(columns) == 1 else None
        return self._last[1]

    def _searched(self, columns: Sequence[pa.ChunkedArray]) -> np.ndarray | None:
        own, other = _plain(self._own[0]), _plain(columns[0])
        if len(own) != len(other) or own.null_count or other.null_count:
            return None
        other = other.cast(own.type)
        places = _places_of_chunks(own, other)
        if places is None:
            searched = pc.index_in(own, value_set=other)
            if searched.null_count:
                return None
            places = np.asarray(searched).astype(np.int64)
        is_found = np.zeros(places.size, bool)
        is_found[places] = True
        return places if is_found.all() else None

    def numbers(self, columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
        """Return the numbers of other rows' keys; -1 for a key that is not among ours."""
        pairs, numbers = self._numbered[1], self._codes(0, columns[0])
        for n, column in enumerate(columns[1:], start=1):
            numbers = _position(self._paired(n, numbers, self._codes(n, column)), pairs[n - 1])
        return numbers

    @property
    def of_rows(self) -> np.ndarray:
        """Return the numbers of our rows' keys, int64[n]."""
        return self._numbered[0]

    @property
    def count(self) -> int:
        """Return how many distinct keys there are."""
        pairs = self._numbered[1]
        return pairs[-1].size if pairs else len(self._values[0])

    @cached_property
    def _encoded(self) -> list[pa.DictionaryArray]:
        """Return each column's distinct values, and each row's place among them."""
        encoded = (_plain(column).combine_chunks().dictionary_encode() for column in self._own)
        return [e if isinstance(e, pa.Array) else e.combine_chunks() for e in encoded]

    @property
    def _values(self) -> list[pa.Array]:
        return [column.dictionary for column in self._encoded]

    @cached_property
    def _numbered(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return our rows' numbers, and per further column the distinct pairs of numbers."""
        distinct: list[np.ndarray] = []
        first, *others = (_codes_of(column.indices) for column in self._encoded)
        numbers = first
        for n, codes in enumerate(others, start=1):
            pairs = self._paired(n, numbers, codes)
            distinct.append(np.unique(pairs[pairs >= 0]))
            numbers = _position(pairs, distinct[-1])
        return numbers, distinct

    def _paired(self, n: int, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        return np.where((numbers < 0) | (codes < 0), -1, numbers * len(self._values[n]) + codes)

    def _codes(self, n: int, column: pa.ChunkedArray) -> np.ndarray:
        values = self._values[n]
        plain = _plain(column).cast(values.type)
        return _codes_of(pc.index_in(plain, value_set=values, skip_nulls=True))


def _places_of_chunks(own: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray | None:
    """Return where each value is among others that are the same chunks, as files are, in any order.

    None where they are not. Neither has a NULL; both are of one length.
    """
    chunks = [chunk for chunk in own.chunks if len(chunk)]
    firsts = pa.array([chunk[0].as_py() for chunk in chunks], own.type)
    number_of = np.asarray(pc.fill_null(pc.index_in(other, value_set=firsts), -1))
    begins = np.flatnonzero(number_of >= 0)
    begin_of = dict(zip(number_of[begins].tolist(), begins.tolist(), strict=True))
    if begins.size != len(chunks) or len(begin_of) != len(chunks):
        return None
    parts = []
    for n, chunk in enumerate(chunks):
        there = other.slice(begin_of[n], len(chunk))
        if not there.equals(pa.chunked_array([chunk])):
            return None
        parts.append(np.arange(begin_of[n], begin_of[n] + len(chunk)))
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _codes_of(codes: pa.Array | pa.ChunkedArray) -> np.ndarray:
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
