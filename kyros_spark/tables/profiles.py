"""`profiles`: one row a column of a clean batch: what it holds, for people and for comparison."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

PROFILES = Table(
    name="profiles",
    comment="What each column of a clean batch holds; kyros profile --diff A B compares two.",
    columns=(
        BATCH_ID,
        Column("source", "string", "policies or claims"),
        Column("column", "string", "the column's name in its table"),
        Column("type", "string", "its type as the settings declare it"),
        Column("source_type", "string", "its type in a parquet or Delta source; else NULL"),
        Column("row_count", "bigint", "clean rows of the batch"),
        Column("null_count", "bigint", "rows in which it is missing"),
        Column("least", "string", "the smallest value, as text"),
        Column("most", "string", "the largest value, as text"),
        Column("mean", "double", "the mean of a number"),
        Column("sampled_rows", "bigint", "rows that what follows was counted in, by hash of key"),
        Column("distinct_count", "bigint", "different values among the sampled rows"),
        Column("quantiles", "map<string,double>", "of a number: 0.01, 0.05, 0.25, 0.5 ... 0.99"),
        Column("levels", "map<string,bigint>", "rows of the commonest values (100 at most)"),
        Column("findings", "array<string>", "what somebody should look at, a sentence each"),
        Column("rules", "map<string,bigint>", "rows by the rule they broke, refused or not"),
        Column("profiled_at", "timestamp", "when"),
        RUN_ID,
    ),
    key=("batch_id", "source", "column"),
)
