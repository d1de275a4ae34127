"""`rejects`: one row per refused source record, with the reasons and the original record."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

REASON = "struct<rule:string,column:string,expected:string,found:string>"

REJECTS = Table(
    name="rejects",
    comment="Source records that clean refused, with the reasons and the original record.",
    columns=(
        BATCH_ID,
        Column("source", "string", "the source the record came from: policies or claims"),
        Column("rule", "string", "the first rule it broke"),
        Column("column", "string", "the column whose value broke it"),
        Column("expected", "string", "what the rule expects"),
        Column("found", "string", "the value in the record"),
        Column("reasons", f"array<{REASON}>", "every rule that it broke"),
        Column("record", "string", "the original record, as JSON text"),
        RUN_ID,
    ),
    key=(),
    constraints={"rule_given": "rule IS NOT NULL"},
)
