"""State what a Delta table is: columns with a comment each, key, partitioning, constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kyros_spark.config import SourceSettings


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, Spark SQL type, and meaning in a sentence."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """The contract of a table, from which it is created and against which writes are checked."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("batch_id",)
    constraints: Mapping[str, str] = field(default_factory=dict)
    # The columns whose smallest and largest value each file states, for filters to skip files by;
    # none given means the key. Stating them for every column cost more than writing the rows.
    skip_by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the column names in order."""
        return [column.name for column in self.columns]


BATCH_ID = Column("batch_id", "string", "the extract this row belongs to (a month, a year)")
RUN_ID = Column("run_id", "string", "the run that wrote this row; see table runs")


def declared(source: SourceSettings, names: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Return the columns that the settings declare for a source, as table columns."""
    chosen = source.columns if names is None else {n: source.columns[n] for n in names}
    return tuple(Column(n, sql_type(c.type), c.description or n) for n, c in chosen.items())


def excess(source: SourceSettings) -> tuple[Column, ...]:
    """Return the columns that hold what lies above each amount's cap."""
    capped = (name for name, amount in source.amounts.items() if amount.cap is not None)
    return tuple(Column(f"{n}_excess", "double", f"what {n} held above its cap") for n in capped)


def sql_type(declared_type: str) -> str:
    """Return Spark SQL's own spelling of a type as the settings spell it."""
    return {"long": "bigint"}.get(declared_type, declared_type.replace(" ", ""))
