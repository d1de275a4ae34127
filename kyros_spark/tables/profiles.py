"""`profiles`: one row per column of a clean batch: its content, to read and to compare."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

PROFILES = Table(
    name="profiles",
    comment="The content of each column of a clean batch; kyros profile --diff A B compares two.",
    columns=(
        BATCH_ID,
        Column("source", "string", "policies or claims"),
        Column("column", "string", "the column's name in its table"),
        Column("type", "string", "its declared type in the settings"),
        Column("source_type", "string", "its type in a parquet or Delta source, else NULL"),
        Column("row_count", "bigint", "clean rows of the batch"),
        Column("null_count", "bigint", "rows in which the column is missing"),
        Column("least", "string", "the smallest value, as text"),
        Column("most", "string", "the largest value, as text"),
        Column("mean", "double", "the mean, for a number"),
        Column("sampled_rows", "bigint", "rows sampled by hash of key for the columns that follow"),
        Column("distinct_count", "bigint", "different values among the sampled rows"),
        Column("quantiles", "map<string,double>", "for a number: 0.01, 0.05, 0.25, 0.5 ... 0.99"),
        Column("levels", "map<string,bigint>", "rows per value, for at most 100 of the commonest"),
        Column("findings", "array<string>", "observations that need attention, one sentence each"),
        Column("rules", "map<string,bigint>", "rows per rule that they broke, refused or not"),
        Column("profiled_at", "timestamp", "when it was profiled"),
        RUN_ID,
        Column("std", "double", "the standard deviation, for a number"),
    ),
    key=("batch_id", "source", "column"),
)
