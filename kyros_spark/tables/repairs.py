"""`repairs`: one row per value that clean repaired, what stood there and what took its place."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

REPAIRS = Table(
    name="repairs",
    comment="Values that clean repaired in rows of policies and claims, before and after.",
    columns=(
        BATCH_ID,
        Column("source", "string", "the table that holds the row: policies or claims"),
        Column("key", "map<string,string>", "the row's key: each column's value as text"),
        Column("rule", "string", "the rule that the value broke"),
        Column("column", "string", "the column whose value was repaired"),
        Column("before", "string", "the value that broke the rule, as text; NULL if missing"),
        Column("after", "string", "the value after all repairs, as text, before an amount's cap"),
        RUN_ID,
    ),
    key=(),
    constraints={"rule_given": "rule IS NOT NULL"},
)
