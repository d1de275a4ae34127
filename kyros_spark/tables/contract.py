"""Define the contract of a Delta table: columns with comments, key, partitioning, constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kyros_spark.config import SourceSettings


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its Spark SQL type, and its meaning in one sentence."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """The contract of a table: the table is created from it, and writes are checked against it."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("batch_id",)
    constraints: Mapping[str, str] = field(default_factory=dict)
    # The columns whose smallest and largest values are stored per file, so that filters can skip
    # files; by default the key. Storing them for every column cost more than writing the rows.
    skip_by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the column names in order."""
        return [column.name for column in self.columns]


BATCH_ID = Column("batch_id", "string", "the extract that this row belongs to, such as a month")
RUN_ID = Column("run_id", "string", "the run that wrote this row; see table runs")


def declared(source: SourceSettings, names: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Return the columns that the settings declare for a source, as table columns."""
    chosen = source.columns if names is None else {n: source.columns[n] for n in names}
    return tuple(Column(n, sql_type(c.type), c.description or n) for n, c in chosen.items())


def excess(source: SourceSettings) -> tuple[Column, ...]:
    """Return the columns that hold the excess of each amount above its cap."""
    capped = (name for name, amount in source.amounts.items() if amount.cap is not None)
    return tuple(Column(f"{n}_excess", "double", f"excess of {n} above its cap") for n in capped)


def sql_type(declared_type: str) -> str:
    """Return the Spark SQL spelling of a type in the spelling of the settings."""
    return {"long": "bigint"}.get(declared_type, declared_type.replace(" ", ""))
