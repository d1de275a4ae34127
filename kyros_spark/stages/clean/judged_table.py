"""Hold the judged rows of a source in the driver: Spark is asked once, the rest is arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from kyros_spark.aggregates.extremes import extremes
from kyros_spark.config import SourceSettings
from kyros_spark.spark.arrow_frames import frame_of
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.tables.repairs import REPAIRS
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.profile import (
    SAMPLE_STEP,
    SAMPLED_AS_THEY_ARE,
    is_number,
    sample_steps,
    sample_value,
)
from kyros_spark.transforms.rules import NOTED, REPAIRED, Rule
from kyros_spark.transforms.verdicts import (
    FIRST,
    REASONS,
    RECORD,
    REPAIRS_OF_ROW,
    amount_part,
    capped,
    caps,
)

if TYPE_CHECKING:
    import pandas as pd

_SUM = pa.decimal128(38, 6)
_BROADCAST = 500_000  # rows: some 64 MB as a hash table of keys
_REASON = ("rule", "column", "expected", "found")
_REPAIR = ("key", "rule", "column", "before", "after")


class JudgedTable:
    """Judged rows as an Arrow table; it answers as `JudgedFrame` does."""

    def __init__(self, rows: DataFrame, source: SourceSettings, rules: Sequence[Rule]) -> None:
        """Compute the rows that `rows_for_driver` returned."""
        self._spark, self._source, self._rules = rows.sparkSession, source, rules
        self._rows: pa.Table = rows.toArrow()
        refused = pc.is_valid(self._rows[FIRST])
        self._refused = self._rows.filter(refused)
        self._accepted = self._rows.filter(pc.invert(pc.or_(self._rows[COPY], refused)))

    def counts(self, profiled: bool) -> list[dict[str, Any]]:
        """Return the rows of `verdict_counts`; notes and totals of accepted rows only."""
        parts = {
            amount_part(kind, n): f"{kind}_{n}"
            for n in range(len(self._source.amounts))
            for kind in ("in", "out", "excess")
        }
        sums = {name: self._rows[name].cast(_SUM) for name in parts}
        keyed = pa.Table.from_pydict({"copy": self._rows[COPY], "rule": self._rows[FIRST], **sums})
        aggregates = [([], "count_all"), *((name, "sum") for name in parts)]
        groups = keyed.group_by(["copy", "rule"]).aggregate(aggregates)
        titles = {"count_all": "rows", **{f"{name}_sum": title for name, title in parts.items()}}
        named = groups.rename_columns([titles.get(name, name) for name in groups.column_names])
        counts: list[dict[str, Any]] = named.to_pylist()
        for row in counts:
            if not row["copy"] and row["rule"] is None:
                row |= self._noted() | (self._totals() if profiled else {})
        return counts

    def _noted(self) -> dict[str, int]:
        """Count the accepted rows by rule that they broke without being refused."""
        counts: dict[int, int] = {}
        for marks in (NOTED, REPAIRED):
            numbers = pc.value_counts(pc.list_flatten(self._accepted[marks]))
            counts |= {pair["values"]: pair["counts"] for pair in numbers.to_pylist()}
        noted = [n for n, rule in enumerate(self._rules) if rule.severity != "reject"]
        return {f"noted_{n}": counts.get(n, 0) for n in noted}

    def _totals(self) -> dict[str, Any]:
        """Return the values that `transforms.profile.totals` computes."""
        totals: dict[str, Any] = {}
        for n, (name, column) in enumerate(self._source.columns.items()):
            values = self._accepted[name]
            totals[f"given_{n}"] = len(values) - values.null_count
            if is_number(column.type) or column.type in ("date", "timestamp"):
                totals[f"min_{n}"], totals[f"max_{n}"] = extremes(values)
            if is_number(column.type):
                numbers = values.cast(pa.float64())
                totals[f"sum_{n}"] = pc.sum(numbers).as_py()
                totals[f"squares_{n}"] = pc.sum(pc.multiply(numbers, numbers)).as_py()
        return totals

    def examples(self) -> dict[int, str | None]:
        """Return a refused value by the number of the first rule that it broke."""
        keyed = pa.Table.from_pydict(
            {"rule": self._refused[FIRST], "found": self._first_reason("found")}
        )
        groups = keyed.group_by("rule").aggregate([("found", "min")])
        return dict(zip(groups["rule"].to_pylist(), groups["found_min"].to_pylist(), strict=True))

    def sampled(self, rows: int, total: int) -> pd.DataFrame:
        """Return about ``rows`` of the ``total`` accepted rows."""
        chosen = self._accepted
        if total > rows:
            chosen = chosen.filter(pc.less(chosen[SAMPLE_STEP], sample_steps(rows, total)))
        columns = {}
        for name, column in self._source.columns.items():
            as_is = column.type in SAMPLED_AS_THEY_ARE
            values = chosen[name if as_is else sample_value(name)]
            columns[name] = values.cast(pa.float64()) if is_number(column.type) else values
        return pa.Table.from_pydict(columns).to_pandas()

    def accepted(self, names: Sequence[str]) -> DataFrame:
        """Return columns of the accepted rows."""
        frame = frame_of(self._spark, self._accepted.select(list(names)))
        # Spark does not know how few they are, and would sort both sides of a join.
        return frame.hint("broadcast") if self._accepted.num_rows <= _BROADCAST else frame

    def copies(self) -> DataFrame:
        """Return the source's columns of the copies that were taken out."""
        copies = self._rows.filter(self._rows[COPY])
        return frame_of(self._spark, copies.select(list(self._source.columns)))

    def clean(self, batch: str, run_id: str) -> pa.Table:
        """Return the accepted rows as their table holds them."""
        rows, cut = self._accepted, caps(self._source)
        columns = {n: rows[capped(n) if n in cut else n] for n in self._source.columns}
        columns |= {f"{n}_excess": rows[f"{n}_excess"] for n in cut}
        return pa.Table.from_pydict(
            columns | _repeated({"batch_id": batch, "run_id": run_id}, rows.num_rows)
        )

    def rejected(self, name: str, batch: str, run_id: str) -> pa.Table:
        """Return the refused rows in the columns of `rejects`."""
        same = {"batch_id": batch, "source": name, "run_id": run_id}
        columns = {field: self._first_reason(field) for field in _REASON}
        columns |= {"reasons": self._refused[REASONS], "record": self._refused[RECORD]}
        rows = pa.Table.from_pydict(columns | _repeated(same, self._refused.num_rows))
        return rows.select(REJECTS.names)

    def repaired(self, name: str, batch: str, run_id: str) -> pa.Table:
        """Return the repaired values of accepted rows in the columns of `repairs`."""
        same = {"batch_id": batch, "source": name, "run_id": run_id}
        values = pc.list_flatten(self._accepted[REPAIRS_OF_ROW])
        columns = {field: pc.struct_field(values, field) for field in _REPAIR}
        rows = pa.Table.from_pydict(columns | _repeated(same, len(values)))
        return rows.select(REPAIRS.names)

    def _first_reason(self, field: str) -> pa.ChunkedArray:
        """Return a field of the first reason of each refused row."""
        return pc.struct_field(pc.list_element(self._refused[REASONS], 0), field)


def _repeated(values: Mapping[str, str], rows: int) -> dict[str, pa.Array]:
    """Return columns that hold one text throughout."""
    return {name: pa.repeat(pa.scalar(value), rows) for name, value in values.items()}
