"""Gather what Delta keeps of a data file: its rows, and bounds of the columns that filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_LONGEST_TEXT = 32  # characters that Delta keeps of a smallest value


class FileStatistics:
    """The statistics of one file, which grow with the rows written to it."""

    def __init__(self, indexed: Sequence[str]) -> None:
        """Take the columns of which bounds are kept."""
        self.rows = 0
        self._nulls = dict.fromkeys(indexed, 0)
        self._bounds: dict[str, tuple[Any, Any]] = {}

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Count more rows in."""
        self.rows += rows.num_rows
        for name in self._nulls:
            column = rows.column(name)
            self._nulls[name] += column.null_count
            if column.null_count == rows.num_rows or not _has_bounds(column.type):
                continue
            bounds = pc.min_max(column).as_py()
            least, most = self._bounds.get(name, (bounds["min"], bounds["max"]))
            self._bounds[name] = min(least, bounds["min"]), max(most, bounds["max"])

    def to_json(self) -> dict[str, Any]:
        """Return them as an add action has them."""
        least, most = dict[str, Any](), dict[str, Any]()
        for name, (low, high) in self._bounds.items():
            if isinstance(low, str):
                least[name] = low[:_LONGEST_TEXT]
                if len(high) <= _LONGEST_TEXT:
                    most[name] = high
            else:
                least[name], most[name] = map(_text_of_date, (low, high))
        return {
            "numRecords": self.rows, "minValues": least, "maxValues": most,
            "nullCount": dict(self._nulls),
        }  # fmt: skip


def _has_bounds(kind: pa.DataType) -> bool:
    # Not those of doubles, which may hold NaN, nor those that Delta rounds.
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind))


def _text_of_date(value: Any) -> Any:
    return value if isinstance(value, int) else value.isoformat()
