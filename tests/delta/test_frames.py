"""Rows that the driver holds become a frame of the table's contract."""

from kyros_spark.delta.frames import rows_as_frame
from kyros_spark.tables.contract import Column, Table

TABLE = Table(
    "notes",
    "What was noted.",
    (
        Column("note no", "bigint", "number"),
        Column("text", "string", "text"),
        Column("marks", "array<double>", "marks"),
    ),
    key=("note no",),
)


def test_columns_come_in_the_contracts_order_and_a_missing_value_is_null(spark):
    rows = iter([{"text": "a", "note no": 1, "other": 5}, {"marks": [0.5], "note no": 2}])
    frame = rows_as_frame(spark, TABLE, rows)
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert [tuple(row) for row in frame.collect()] == [(1, "a", None), (2, None, [0.5])]
    assert frame.rdd.getNumPartitions() == 1


def test_no_rows_make_an_empty_frame_of_the_same_columns(spark):
    frame = rows_as_frame(spark, TABLE, [])
    assert frame.columns == TABLE.names
    assert frame.count() == 0
