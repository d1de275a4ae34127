"""Sum doubles by group, exactly: the result is the nearest double to the true sum.

It does not depend on the order of the rows, nor on how they are divided, and so may enter a model
file. A group that holds a NaN or an infinity has the sum that plain addition gives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from kyros_spark.kernels.compile import compiled, writable
from kyros_spark.kernels.exact_sums import CHUNKS, MOST_VALUES, add_exactly, carry

UNIT = 1 << 1074  # the smallest double is 1 / UNIT


class ExactSums:
    """Sums by group, about 540 bytes each while rows are added, and fewer when they travel."""

    def __init__(self, groups: int) -> None:
        """Begin with no rows."""
        self._chunks = np.zeros((groups, CHUNKS), np.int64)
        self._plain = np.zeros(groups)  # the sums of what is no finite number
        self._since_carry = 0

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self._plain.size

    def resize(self, groups: int) -> None:
        """Make room for more groups."""
        more = groups - self.groups
        if more > 0:
            self._chunks = np.concatenate([self._chunks, np.zeros((more, CHUNKS), np.int64)])
            self._plain = np.concatenate([self._plain, np.zeros(more)])

    def add(self, values: np.ndarray, groups: np.ndarray) -> None:
        """Add values, float64[n], to their groups, int64[n]; negative groups are left out."""
        values = np.array(values, np.float64)  # Arrow's are read-only
        groups = np.array(groups, np.int64)
        odd = ~np.isfinite(values)
        if odd.any():
            used = odd & (groups >= 0)
            with np.errstate(invalid="ignore"):
                np.add.at(self._plain, groups[used], values[used])
            values[odd] = 0.0
        for first in range(0, values.size, MOST_VALUES):
            part = slice(first, first + MOST_VALUES)
            self._before(values[part].size)
            _kernels()[0](values[part].view(np.int64), groups[part], self._chunks)

    def merge(self, other: ExactSums, groups: np.ndarray) -> None:
        """Add another's sums: its group k to this one's groups[k], int64; no group twice."""
        other.carry()
        self._before(1)
        self._chunks[groups] += other._chunks
        with np.errstate(invalid="ignore"):
            self._plain[groups] += other._plain

    def joined(self, starts: np.ndarray) -> ExactSums:
        """Return the sums of neighbouring groups, each from one of `starts` up to the next."""
        self.carry()
        joined = ExactSums(starts.size)
        if starts.size:
            joined._chunks = np.add.reduceat(self._chunks, starts)
            with np.errstate(invalid="ignore"):
                joined._plain = np.add.reduceat(self._plain, starts)
        return joined

    def carry(self) -> None:
        """Bring every sum into its one form."""
        _kernels()[1](self._chunks)
        self._since_carry = 0

    def arrays(self) -> list[np.ndarray]:
        """Return the sums as arrays that `from_arrays` reads; chunks of nothing are left out."""
        self.carry()
        used = np.flatnonzero((self._chunks != 0).any(axis=0))
        return [used, np.ascontiguousarray(self._chunks[:, used]), self._plain]

    @classmethod
    def from_arrays(cls, used: np.ndarray, chunks: np.ndarray, plain: np.ndarray) -> ExactSums:
        """Return the sums that `arrays` gave."""
        sums = cls(plain.size)
        sums._chunks[:, used] = chunks
        sums._plain = plain.copy()
        return sums

    def totals(self) -> np.ndarray:
        """Return the sums, float64[groups]."""
        self.carry()
        words = self._chunks.astype(np.uint32)  # the last chunk carries the sign
        exact = [int.from_bytes(row.tobytes(), "little", signed=True) for row in words]
        totals = np.array([_as_double(number) for number in exact], np.float64)
        odd = self._plain != 0  # also for NaN
        totals[odd] = self._plain[odd]
        return totals

    def _before(self, values: int) -> None:
        """Carry if so many more values might overflow a chunk."""
        if self._since_carry + values > MOST_VALUES:
            self.carry()
        self._since_carry += values


def _as_double(number: int) -> float:
    """Return number / 2^1074, rounded once; infinite beyond the largest double."""
    try:
        return number / UNIT
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


@functools.cache
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    vector, matrix = writable("i8"), writable("i8", 2)
    return compiled(add_exactly, vector, vector, matrix), compiled(carry, matrix)
