"""State which rows of a table a write replaces, without SQL text.

The same condition is needed as SQL, for Delta's writer, and as a mask over rows, for a data file
that has to be rewritten in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.tables.ddl import quoted, text


@dataclass(frozen=True)
class Among:
    """The rows whose values of some columns are among the allowed ones; a NULL never is.

    values: one tuple per allowed combination, in the order of ``columns``.
    head: compare only what stands before the first '.' of the one column.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    head: bool = False

    def sql(self) -> str:
        """Return the condition as SQL."""
        if not self.values:
            return "false"
        if len(self.columns) > 1:
            return f"({' OR '.join(map(self._equal, self.values))})"
        column = quoted(self.columns[0])
        subject = f"substring_index({column}, '.', 1)" if self.head else column
        return f"{subject} IN ({', '.join(_literal(value) for (value,) in self.values)})"

    def _equal(self, values: tuple[Any, ...]) -> str:
        pairs = zip(self.columns, values, strict=True)
        return f"({' AND '.join(f'{quoted(name)} = {_literal(value)}' for name, value in pairs)})"

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return whether each row meets the condition."""
        allowed = set(self.values)
        columns = [rows[name] for name in self.columns]
        if len(columns) == 1:
            distinct = [v for v in pc.unique(columns[0]).to_pylist() if self._holds(v, allowed)]
            return pc.is_in(columns[0], pa.array(distinct, columns[0].type))
        combinations = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.chunked_array([pa.array([c in allowed for c in combinations], pa.bool_())])

    def may_hold(self, values: Mapping[str, str | None]) -> bool:
        """Return whether a partition may hold such rows; values: of its columns, as text."""
        known = [n for n, column in enumerate(self.columns) if column in values]
        texts = {tuple(str(allowed[n]) for n in known) for allowed in self.values}
        present = tuple(self._compared(values[self.columns[n]]) for n in known)
        return present in texts

    def may_lie(self, least: Mapping[str, Any], most: Mapping[str, Any]) -> bool:
        """Return whether a file may hold such rows, by its columns' smallest and largest values."""
        if self.head:
            return True
        bounds = [
            (n, least[column], most[column])
            for n, column in enumerate(self.columns)
            if column in least and column in most
        ]
        return any(
            all(low <= v[n] <= high for n, low, high in bounds if isinstance(v[n], type(low)))
            for v in self.values
        )

    def _holds(self, value: Any, allowed: set[tuple[Any, ...]]) -> bool:
        return value is not None and (self._compared(value),) in allowed

    def _compared(self, value: Any) -> Any:
        return value.partition(".")[0] if self.head and value is not None else value


@dataclass(frozen=True)
class Where:
    """The rows that meet every one of some conditions."""

    conditions: tuple[Among, ...]

    def sql(self) -> str:
        """Return the condition as SQL."""
        return " AND ".join(condition.sql() for condition in self.conditions)

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return whether each row meets all conditions."""
        mask = self.conditions[0].mask(rows)
        for condition in self.conditions[1:]:
            mask = pc.and_(mask, condition.mask(rows))
        return mask

    def within(self, columns: Sequence[str]) -> Where | None:
        """Return the conditions on these columns only, or None if there are none."""
        chosen = tuple(c for c in self.conditions if set(c.columns) <= set(columns))
        return Where(chosen) if chosen else None


def where(allowed: Mapping[str, Iterable[Any]]) -> Where:
    """Return the condition that each column has one of its allowed values."""
    return Where(
        tuple(Among((name,), tuple((v,) for v in values)) for name, values in allowed.items())
    )


def combinations(columns: Sequence[str], allowed: Iterable[Sequence[Any]]) -> Where:
    """Return the condition that the columns have one of the allowed combinations of values."""
    return Where((Among(tuple(columns), tuple(map(tuple, allowed))),))


def batch(label: str) -> Where:
    """Return the condition that selects one batch."""
    return where({"batch_id": [label]})


def _literal(value: Any) -> str:
    return text(value) if isinstance(value, str) else str(value)
