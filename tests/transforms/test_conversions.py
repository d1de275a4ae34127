"""A declared type takes a value that it keeps, and no other: what SQL casts make of it is no test."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as F
from pyspark.sql import types as T

from kyros_spark.config import ColumnSettings, SourceSettings
from kyros_spark.transforms.conversions import converted_sql


def converted(spark, values, raw_type, **column):
    """Return what the raw values become, in order."""
    settings = ColumnSettings.model_validate(column)
    # Python's own timestamps are in the zone of the machine; the session's is UTC.
    made_as = T.TimestampNTZType() if raw_type == T.TimestampType() else raw_type
    schema = T.StructType([T.StructField("n", T.IntegerType()), T.StructField("v", made_as)])
    rows = spark.createDataFrame(list(enumerate(values)), schema)
    rows = rows.withColumn("v", F.col("v").cast(raw_type))
    read = rows.select("n", F.expr(converted_sql("v", settings, raw_type)).alias("v"))
    return [row["v"] for row in sorted(read.collect())]


# What each text is as a double, an int, and a decimal(10,2); None is refused by rule `type`.
TEXTS = {
    "15000": (15000.0, 15000, Decimal("15000.00")),
    " 40 ": (40.0, 40, Decimal("40.00")),
    "+7": (7.0, 7, Decimal("7.00")),
    "-0": (0.0, 0, Decimal("0.00")),
    "40.0": (40.0, 40, Decimal("40.00")),  # every R and pandas export of an int with NA
    "0.0": (0.0, 0, Decimal("0.00")),
    "40.": (40.0, 40, Decimal("40.00")),
    "4e1": (40.0, 40, Decimal("40.00")),
    "1e+05": (100000.0, 100000, Decimal("100000.00")),  # as R writes 100000
    "40.7": (40.7, None, Decimal("40.70")),
    ".5": (0.5, None, Decimal("0.50")),
    "0.005": (0.005, None, None),  # rounded, it would be 0.01
    "0.010": (0.01, None, Decimal("0.01")),
    "1e-40": (1e-40, None, None),
    "1e10": (1e10, None, None),  # above 2^31, and above the eight digits before the point
    "1e999999999": (None, None, None),
    "1500d": (None, None, None),
    "1500D": (None, None, None),
    "7F": (None, None, None),
    "0.5f": (None, None, None),
    "1500d\t": (None, None, None),
    "0x1p10": (None, None, None),
    "0X1P10": (None, None, None),
    "40L": (None, None, None),
    "NaN": (None, None, None),
    "Infinity": (None, None, None),
    "1,500": (None, None, None),
    "1_500": (None, None, None),
    "\u00a01500": (None, None, None),
    "\u0661\u0665\u0660\u0660": (None, None, None),  # 1500 in Arabic digits
    "": (None, None, None),
}


@pytest.mark.parametrize(("n", "type_"), [(0, "double"), (1, "int"), (2, "decimal(10,2)")])
def test_a_text_is_a_number_if_it_is_written_as_one(spark, n, type_):
    read = converted(spark, list(TEXTS), T.StringType(), type=type_)
    assert dict(zip(TEXTS, read, strict=True)) == {t: values[n] for t, values in TEXTS.items()}


# By decimal and thousands sign: what each text is; None is refused by rule `type`.
GROUPED = {
    (".", ","): {"1,500": 1500.0, "-1,234,567.25": -1234567.25, "1500.5": 1500.5, "1,50": None,
                 "1,5000": None, "1500,000": None, ",500": None, "1,500,": None},
    (",", "."): {"1.500": 1500.0, "1.234.567,25": 1234567.25, "1500,5": 1500.5, "1.50": None,
                 "1,500": 1.5, "1.500.5": None},
    (",", " "): {"1 500,5": 1500.5, "1\u00a0500": 1500.0, "1\u202f234\u202f567": 1234567.0,
                 "1  500": None, "15 00": None},
    (".", "'"): {"1'500.05": 1500.05, "1\u2019500": 1500.0, "1'50": None},
}  # fmt: skip


@pytest.mark.parametrize(("decimal", "thousands"), GROUPED)
def test_thousands_are_separated_in_every_place_or_in_none(spark, decimal, thousands):
    texts = GROUPED[decimal, thousands]
    signs = {"type": "double", "decimal": decimal, "thousands": thousands}
    read = converted(spark, list(texts), T.StringType(), **signs)
    assert dict(zip(texts, read, strict=True)) == texts


def test_a_date_is_read_by_the_first_of_several_formats_that_fits(spark):
    formats = ["dd/MM/yyyy", "MM/dd/yyyy", "yyyyMMdd"]
    texts = ["03/02/2024", "02/13/2024", "20240229", "2024-02-03", "31/02/2024"]
    read = converted(spark, texts, T.StringType(), type="date", format=formats)
    assert read == [date(2024, 2, 3), date(2024, 2, 13), date(2024, 2, 29), None, None]


def test_a_long_keeps_digits_that_a_double_would_lose(spark):
    texts = ["9223372036854775807", "9007199254740993.0", "9223372036854775808", "1e19"]
    read = converted(spark, texts, T.StringType(), type="long")
    assert read == [9223372036854775807, 9007199254740993, None, None]


DOUBLES = [40.0, 40.7, 0.005, 0.1 + 0.2, float("nan"), float("inf"), 1e10, None]
NOON, MIDNIGHT = datetime(2024, 5, 1, 12), datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("type_", "raw_type", "values", "expected"),
    [
        ("int", T.DoubleType(), DOUBLES, [40, *[None] * 7]),
        # The noise of a sum is no digit; half a cent is one.
        ("decimal(10,2)", T.DoubleType(), DOUBLES,
         [Decimal("40.00"), Decimal("40.70"), None, Decimal("0.30"), *[None] * 4]),
        ("double", T.DoubleType(), [0.1, float("nan"), float("inf")], [0.1, None, None]),
        ("decimal(10,2)", T.FloatType(), [0.5, 0.25, 0.125], [Decimal("0.50"), Decimal("0.25"), None]),
        ("decimal(10,2)", T.DecimalType(12, 4), [Decimal("1.2500"), Decimal("1.2501")],
         [Decimal("1.25"), None]),
        ("int", T.DecimalType(12, 4), [Decimal("3.0000"), Decimal("3.5000")], [3, None]),
        ("int", T.LongType(), [2**31 - 1, 2**31], [2**31 - 1, None]),
        ("double", T.LongType(), [2**53, 2**53 + 1], [float(2**53), None]),
        ("boolean", T.IntegerType(), [0, 1, 5], [False, True, None]),
        ("date", T.TimestampType(), [MIDNIGHT, NOON], [date(2024, 1, 1), None]),
        ("date", T.TimestampNTZType(), [MIDNIGHT, NOON], [date(2024, 1, 1), None]),
    ],
)  # fmt: skip
def test_a_typed_value_is_taken_if_it_is_kept(spark, type_, raw_type, values, expected):
    assert converted(spark, values, raw_type, type=type_) == expected


def test_a_day_is_the_day_of_the_zone_that_the_settings_state(spark):
    """Midnight in Brussels is 23:00 UTC of the day before in winter, 22:00 in summer."""
    values = [datetime(2023, 12, 31, 23), datetime(2024, 6, 30, 22), datetime(2024, 1, 1)]
    in_brussels = converted(spark, values, T.TimestampType(), type="date", zone="Europe/Brussels")
    assert in_brussels == [date(2024, 1, 1), date(2024, 7, 1), None]
    in_utc = converted(spark, values, T.TimestampType(), type="date")
    assert in_utc == [None, None, date(2024, 1, 1)]


def test_a_text_with_a_time_of_day_is_no_date(spark):
    texts = ["01/02/2024 00:00", "01/02/2024 13:45", "01/02/2024"]
    timed = converted(spark, texts, T.StringType(), type="date", format="dd/MM/yyyy HH:mm")
    assert timed == [date(2024, 2, 1), None, None]
    plain = converted(spark, texts, T.StringType(), type="date", format="dd/MM/yyyy")
    assert plain == [None, None, date(2024, 2, 1)]


@pytest.mark.parametrize(
    ("columns", "format_", "expected"),
    [
        ({"type": "date", "zone": "Europe/Brussel"}, "parquet", "expected a time zone"),
        ({"type": "timestamp", "zone": "UTC"}, "parquet", "zone is for type: date"),
        ({"type": "date", "zone": "UTC"}, "csv", "only parquet and delta hold timestamps"),
    ],
)
def test_a_zone_that_could_not_be_used_is_refused_at_load(columns, format_, expected):
    with pytest.raises(ValidationError, match=expected):
        SourceSettings.model_validate({"path": "x", "format": format_, "columns": {"day": columns}})
