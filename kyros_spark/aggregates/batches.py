"""Add columns to Arrow batches and select rows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def with_columns(
    batch: pa.RecordBatch, keep: Iterable[str], columns: Mapping[str, np.ndarray]
) -> pa.RecordBatch:
    """Return a batch of some of its columns, each once, and of new ones."""
    kept = {name: batch.column(name) for name in keep if name not in columns}
    added = {name: pa.array(values) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(kept | added)


def selected(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    """Return the rows for which bool[n] is true."""
    return batch if rows.all() else batch.filter(pa.array(rows))


def is_text(column: pa.Array, texts: Iterable[str]) -> np.ndarray:
    """Return whether each value is one of the texts, bool[n]; NULL is not."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    chosen = pc.is_in(column, pa.array(list(texts), kind))
    return chosen.to_numpy(zero_copy_only=False)
