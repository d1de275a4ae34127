"""Read the columns of an Arrow batch as arrays, where NULL is a mask and never a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.evaluation.rows import STANDS_FOR


@dataclass(frozen=True, eq=False)
class Numbers:
    """One number per row: float64 values, and whether each is given (not NULL)."""

    values: np.ndarray
    given: np.ndarray

    def where(self, condition: np.ndarray) -> Numbers:
        """Return the numbers where a condition holds, NULL elsewhere."""
        return Numbers(self.values, _both(self.given, condition))

    def times(self, other: Numbers) -> Numbers:
        """Return the product, NULL where either is."""
        return Numbers(self.values * other.values, _both(self.given, other.given))

    def chosen(self, rows: np.ndarray) -> Numbers:
        """Return the numbers of some rows, given by their positions."""
        return Numbers(self.values[rows], self.given[rows])

    def minus(self, other: Numbers) -> Numbers:
        """Return the difference, NULL where either is."""
        return Numbers(self.values - other.values, _both(self.given, other.given))


def _both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first & second; one of them itself where it decides, so that it can be recognised."""
    if first.all():
        return second
    return first if second.all() else first & second


@dataclass(frozen=True, eq=False)
class Texts:
    """One text per row: its code among the distinct texts, or -1 for NULL."""

    codes: np.ndarray
    texts: tuple[str, ...]


class BatchArrays:
    """The columns of a batch, each converted once."""

    def __init__(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Take the batch."""
        self._batch = batch
        self._every = np.ones(batch.num_rows, dtype=bool)
        self._numbers: dict[str, Numbers] = {}
        self._texts: dict[str, Texts] = {}

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return int(self._batch.num_rows)

    def has(self, name: str) -> bool:
        """Return whether the batch has a column."""
        return name in self._batch.schema.names

    def constant(self, value: float) -> Numbers:
        """Return the same number for each row."""
        return Numbers(np.full(self.count, value), self._every)

    def indicator(self, rows: np.ndarray) -> Numbers:
        """Return 1 for some rows and 0 for the others."""
        return Numbers(rows.astype(np.float64), self._every)

    def nothing(self) -> Numbers:
        """Return NULL for each row."""
        return Numbers(np.zeros(self.count), ~self._every)

    def numbers(self, name: str) -> Numbers:
        """Return a column of numbers; the same object on every call."""
        if name not in self._numbers:
            self._numbers[name] = self._as_numbers(self._batch.column(name))
        return self._numbers[name]

    def texts(self, name: str) -> Texts:
        """Return a column of texts."""
        if name not in self._texts:
            self._texts[name] = _as_texts(self._batch.column(name))
        return self._texts[name]

    @property
    def stands_for(self) -> Numbers:
        """Return how many rows each row stands for."""
        return self.numbers(STANDS_FOR)

    def _as_numbers(self, column: pa.Array | pa.ChunkedArray) -> Numbers:
        numbers = column.cast(pa.float64())
        given = self._every
        if numbers.null_count:
            given = np.asarray(numbers.is_valid())
            numbers = pc.fill_null(numbers, 0.0)
        return Numbers(np.asarray(numbers), given)


def _as_texts(column: pa.Array | pa.ChunkedArray) -> Texts:
    """Return a column's texts; it may come as a dictionary already."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries() if _is_dictionary(column) else column
        column = column.combine_chunks()
    if not _is_dictionary(column):
        column = column.cast(pa.string()).dictionary_encode()
    codes = np.asarray(pc.fill_null(column.indices, -1)).astype(np.int64)
    return Texts(codes, tuple(column.dictionary.to_pylist()))


def _is_dictionary(column: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pa.types.is_dictionary(column.type))


def combined(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Return one code for each combination of codes, the last varying fastest."""
    total = np.zeros_like(codes[0], dtype=np.int64)
    for code, size in zip(codes, sizes, strict=True):
        total = total * size + code
    return total
