"""What the driver's heap takes: rows that do not fit come by partition, and stages leave them out there."""

import pytest
from portfolio import FIRST

from kyros_spark.config import load_config
from kyros_spark.spark import driver_heap
from kyros_spark.spark.arrow_frames import arrow_of
from kyros_spark.spark.driver_heap import heap_holds
from kyros_spark.stages.clean.stage import clean
from kyros_spark.stages.prepare.stage import prepare

TEN = ["bigint", *["double"] * 9]  # 80 bytes a row


class Session:
    def __init__(self, **settings):
        self.conf = {f"spark.driver.{name}": value for name, value in settings.items()}


@pytest.mark.parametrize(
    ("settings", "types", "rows", "holds"),
    [
        ({"memory": "3g"}, TEN, 5_000_000, True),
        ({"memory": "3g"}, [*TEN, *["string"] * 4], 5_000_000, False),
        ({"memory": "2048m"}, TEN, 5_000_000, True),
        ({"memory": "1g"}, TEN, 5_000_000, False),
        ({}, TEN, 5_000_000, False),  # Spark's default, 1g
        ({}, TEN, 2_000_000, True),
        ({"memory": "8g"}, ["decimal(10,2)"], 60_000_000, True),
        ({"memory": "8g"}, ["decimal(10,2)"], 70_000_000, False),  # above maxResultSize, 1g
        ({"memory": "8g", "maxResultSize": "0"}, ["decimal(10,2)"], 70_000_000, True),
    ],
)  # fmt: skip
def test_a_fifth_of_the_heap_is_for_results(settings, types, rows, holds):
    assert heap_holds(Session(**settings), types, rows) is holds


def test_rows_that_the_heap_does_not_hold_come_by_partition_and_are_the_same(spark, monkeypatch):
    frame = spark.range(1000, numPartitions=3).selectExpr(
        "id", "IF(id % 7 = 0, NULL, id / 3) AS number", "CONCAT('text ', id) AS text"
    )
    at_once = arrow_of(frame, 1000)
    monkeypatch.setattr(driver_heap, "_SHARE", 1 << 40)
    asked = []
    monkeypatch.setattr(type(frame), "toArrow", lambda self: asked.append(self))
    assert arrow_of(frame, 1000).equals(at_once) and not asked
    none = arrow_of(frame.where("id < 0"), 1000)
    assert none.num_rows == 0 and none.column_names == ["id", "number", "text"]


def test_clean_and_prepare_leave_to_executors_what_the_heap_does_not_hold(
    spark, raw_portfolio, monkeypatch
):
    monkeypatch.setattr(driver_heap, "_SHARE", 1 << 40)

    def refused(frame):
        raise AssertionError("asked for all rows at once")

    monkeypatch.setattr(type(spark.range(1)), "toArrow", refused)
    config = load_config(str(raw_portfolio.config_file()))
    cleaned, prepared = clean(spark, config, FIRST), prepare(spark, config, FIRST)
    assert cleaned.rows_out > 0
    assert prepared.rows_out == cleaned.details["policies"]["rows_out"]
    assert raw_portfolio.read(spark, "prepared", FIRST).count() == prepared.rows_out
