"""Write the SQL that creates a table from its contract."""

from __future__ import annotations

from kyros_spark.tables.contract import Column, Table

# Later stages read the version that wrote a batch; the default of 30 days would forget it.
_PROPERTIES = {"delta.logRetentionDuration": "interval 365 days"}


def create_statement(table: Table, reference: str) -> str:
    """Return the statement that creates a table: columns with comments, partitioning, constraints.

    reference: the name of the table in SQL.
    """
    rules = {f"delta.constraints.{name}": rule for name, rule in table.constraints.items()}
    skipping = [quoted(n) for n in (table.skip_by or table.key) if n not in table.partition_by]
    layout = {"delta.dataSkippingStatsColumns": ",".join(skipping)} if skipping else {}
    key = {"kyros.key": ",".join(table.key)} if table.key else {}
    properties = {**_PROPERTIES, **key, **layout, **rules}.items()
    assignments = ", ".join(f"{text(name)} = {text(value)}" for name, value in properties)
    partition = ", ".join(quoted(name) for name in table.partition_by)
    return (
        f"CREATE TABLE IF NOT EXISTS {reference} ({definitions(table.columns)}) USING DELTA "
        + (f"PARTITIONED BY ({partition}) " if partition else "")
        + f"COMMENT {text(table.comment)} TBLPROPERTIES ({assignments})"
    )


def definitions(columns: tuple[Column, ...] | list[Column]) -> str:
    """Return the column definitions for CREATE and ALTER TABLE."""
    return ", ".join(f"{quoted(c.name)} {c.type} COMMENT {text(c.comment)}" for c in columns)


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def batch_is(batch: str) -> str:
    """Return the SQL predicate that selects one batch."""
    return f"batch_id = {text(batch)}"


def number_text(value: float) -> str:
    """Return a finite number as a SQL literal of type double, exact to the last bit."""
    return f"{float(value)!r}D"
