"""Sum named columns by group, as a mergeable state."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.evaluation.arrays import Numbers, combined

Group = tuple[Any, ...]
ROW_COUNT = "sampled"  # the plain number of rows behind a group, whatever they stand for


class SumsByGroup:
    """Sums of columns by group, and each group's number of rows.

    A sum is NULL in a group where no row has a value. What is summed, a subclass says in ``add``.
    """

    def __init__(self, by: Sequence[str], names: Sequence[str]) -> None:
        """Start without rows. by: the columns of a group's key; names: the columns summed."""
        self._by, self._names = tuple(by), (*names, ROW_COUNT)
        self._groups: dict[Group, np.ndarray] = {}  # sums, then the numbers of values behind them

    def add_groups(
        self,
        codes: Sequence[np.ndarray],
        keys: Sequence[Sequence[Any]],
        columns: Mapping[str, Numbers],
    ) -> None:
        """Add rows.

        codes: for each part of the group's key, int[n], an index into ``keys`` of that part.
        columns: the values by name, already multiplied by what a row stands for. A column that is
        given under several names is summed once.
        """
        sizes = [len(part) for part in keys]
        code, groups = combined(codes, sizes), int(np.prod(sizes))
        sums: dict[int, np.ndarray] = {}
        counts: dict[int, np.ndarray] = {}
        for column in columns.values():
            if id(column.given) not in counts:
                counts[id(column.given)] = np.bincount(code[column.given], minlength=groups)
            if id(column) not in sums:
                full = column.given.all()
                values = column.values if full else np.where(column.given, column.values, 0.0)
                sums[id(column)] = np.bincount(code, values, minlength=groups)
        rows = np.bincount(code, minlength=groups)
        added = [*(sums[id(columns[n])] for n in self._names[:-1]), rows]
        added += [*(counts[id(columns[n].given)] for n in self._names[:-1]), rows]
        matrix = np.array(added, dtype=np.float64).T
        for number, key in enumerate(itertools.product(*keys)):
            if rows[number]:
                self._add_group(key, matrix[number])

    def _add_group(self, key: Group, sums: np.ndarray) -> None:
        if key in self._groups:
            self._groups[key] += sums
        else:
            self._groups[key] = sums.copy()

    def merge(self, other: bytes) -> None:
        """Add the rows behind another state of the same kind."""
        table = pa.ipc.open_stream(other).read_all()
        keys = zip(*(table.column(name).to_pylist() for name in self._by), strict=True)
        sums = np.array([np.asarray(table.column(n)) for n in self._columns()]).T
        for key, row in zip(keys, sums, strict=True):
            self._add_group(key, row)

    def to_bytes(self) -> bytes:
        """Return the state as an Arrow stream."""
        keys = {name: [key[n] for key in self._groups] for n, name in enumerate(self._by)}
        columns = self._columns()
        matrix = np.array(list(self._groups.values()), dtype=np.float64).reshape(-1, len(columns))
        sums = {name: matrix[:, n] for n, name in enumerate(columns)}
        table = pa.Table.from_pydict({**keys, **sums})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return bytes(sink.getvalue())

    def _columns(self) -> list[str]:
        return [*(f"sum {n}" for n in self._names), *(f"count {n}" for n in self._names)]

    def result(self) -> list[dict[str, Any]]:
        """Return one row per group, in order of the groups' keys: key, sums, and ROW_COUNT."""
        rows = []
        for key in sorted(self._groups):
            sums, counts = np.split(self._groups[key], 2)
            named = zip(self._names, sums.tolist(), counts.tolist(), strict=True)
            row = {name: value if count else None for name, value, count in named}
            rows.append({**dict(zip(self._by, key, strict=True)), **row})
            rows[-1][ROW_COUNT] = int(rows[-1][ROW_COUNT])
        return rows
