"""Describe a sum over rows: a state that takes batches, merges, and travels as bytes."""

from __future__ import annotations

from typing import Protocol, TypeVar

import pyarrow as pa


class State(Protocol):
    """A sum over rows, of a size that does not depend on the number of rows.

    `add` takes rows, `merge` takes the state of other rows of the same kind. The result may not
    depend on how rows were divided, beyond the last digits of floating sums (1e-12).
    """

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""

    def merge(self, other: bytes) -> None:
        """Add the rows behind another state, as its ``to_bytes`` returned it."""

    def to_bytes(self) -> bytes:
        """Return the state as bytes that ``merge`` reads; data only, never code."""


AnyState = TypeVar("AnyState", bound=State)
