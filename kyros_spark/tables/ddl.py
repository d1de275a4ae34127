"""Word the SQL that makes a table from its contract."""

from __future__ import annotations

from kyros_spark.tables.contract import Column, Table

# Downstream stages read the version a batch was written in; the default of 30 days would forget it.
_PROPERTIES = {"delta.logRetentionDuration": "interval 365 days"}


def create_statement(table: Table, reference: str) -> str:
    """Return the statement that creates a table: columns with comments, partitioning, constraints.

    reference: the table as SQL names it.
    """
    rules = {f"delta.constraints.{name}": rule for name, rule in table.constraints.items()}
    skipping = [quoted(n) for n in (table.skip_by or table.key) if n not in table.partition_by]
    layout = {"delta.dataSkippingStatsColumns": ",".join(skipping)} if skipping else {}
    key = {"kyros.key": ",".join(table.key)} if table.key else {}
    properties = {**_PROPERTIES, **key, **layout, **rules}.items()
    stated = ", ".join(f"{text(key)} = {text(value)}" for key, value in properties)
    partition = ", ".join(quoted(name) for name in table.partition_by)
    return (
        f"CREATE TABLE IF NOT EXISTS {reference} ({definitions(table.columns)}) USING DELTA "
        + (f"PARTITIONED BY ({partition}) " if partition else "")
        + f"COMMENT {text(table.comment)} TBLPROPERTIES ({stated})"
    )


def definitions(columns: tuple[Column, ...] | list[Column]) -> str:
    """Return columns as CREATE and ALTER TABLE take them."""
    return ", ".join(f"{quoted(c.name)} {c.type} COMMENT {text(c.comment)}" for c in columns)


def quoted(name: str) -> str:
    """Return a name as SQL quotes it."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def batch_is(batch: str) -> str:
    """Return the predicate of one batch."""
    return f"batch_id = {text(batch)}"


def number_text(value: float) -> str:
    """Return a finite number as a SQL literal of type double, every bit of it."""
    return f"{float(value)!r}D"
