"""`rejects`: one row a refused source record, with the reason and the record as it came."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

REASON = "struct<rule:string,column:string,expected:string,found:string>"

REJECTS = Table(
    name="rejects",
    comment="Source records that clean refused: why, and the original record.",
    columns=(
        BATCH_ID,
        Column("source", "string", "the source the record came from: policies or claims"),
        Column("rule", "string", "the first rule it broke"),
        Column("column", "string", "the column that broke it"),
        Column("expected", "string", "what the rule expects"),
        Column("found", "string", "what the record holds"),
        Column("reasons", f"array<{REASON}>", "every rule it broke"),
        Column("record", "string", "the record as it came, as JSON text"),
        RUN_ID,
    ),
    key=(),
    constraints={"rule_given": "rule IS NOT NULL"},
)
