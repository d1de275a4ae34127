"""`profile_metrics`: one row per column of a monitored batch: its distribution over frozen bins."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table
from kyros_spark.tables.drift import SUBJECT

_BIN = "bin:string,rows:double,exposure:double,exposure_squared:double,total:double"

PROFILE_METRICS = Table(
    name="profile_metrics",
    comment="What each column of a batch holds, over the bins that its baseline froze.",
    columns=(
        Column("window", "string", "the batch"),
        *SUBJECT,
        Column("data_type", "string", "number or levels"),
        Column("count", "bigint", "rows; NULL for a column of too many levels"),
        Column("num_nulls", "bigint", "rows without a value"),
        Column("percent_null", "double", "their share of exposure, in per cent"),
        Column("distinct_count", "bigint", "levels; NULL for a number"),
        Column("avg", "double", "mean by exposure, of a number"),
        Column("min", "double", "the smallest number"),
        Column("max", "double", "the largest number"),
        Column("exposure", "double", "policy-years"),
        Column("bins", f"array<struct<{_BIN}>>", "sums by level, or by range of a number"),
        Column("cuts", "array<double>", "the left ends of a number's ranges but the first"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("batch_id", *(column.name for column in SUBJECT)),
    skip_by=("batch_id", "column_name"),
)
