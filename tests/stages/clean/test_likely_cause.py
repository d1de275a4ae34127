"""The setting that a refusal proposes reads the value that was refused, as a person reads it."""

from datetime import date

import pytest
import yaml
from pyspark.sql import types as T

from kyros_spark.config import ColumnSettings
from kyros_spark.stages.clean.likely_cause import likely_setting
from kyros_spark.transforms.conversions import converted_sql

# By type and text: what a person reads.
READ = {
    ("double", "1.234,5"): 1234.5,
    ("double", "-1.234.567,00"): -1234567.0,
    ("double", "12,5"): 12.5,
    ("double", "1,234,567"): 1234567.0,
    ("double", "1,234.5"): 1234.5,
    ("double", "1 234,5"): 1234.5,
    ("double", "1 234.5"): 1234.5,
    ("int", "1'234"): 1234,
    ("date", "31/12/2024"): date(2024, 12, 31),
    ("date", "12/31/2024"): date(2024, 12, 31),
    ("date", "31.12.2024"): date(2024, 12, 31),
}


@pytest.mark.parametrize(("type_", "value"), READ)
def test_the_proposed_setting_reads_the_value(spark, type_, value):
    proposal = likely_setting(ColumnSettings(type=type_), value)
    settings = yaml.safe_load("\n".join(proposal.split(" and ")))
    column = ColumnSettings.model_validate({"type": type_, **settings})
    sql = converted_sql("v", column, T.StringType())
    row = spark.createDataFrame([(value,)], "v string").selectExpr(f"{sql} AS read").first()
    assert row["read"] == READ[type_, value]


@pytest.mark.parametrize("value", ["abc", "12..5", "", "31/31/2024"])
@pytest.mark.parametrize("type_", ["double", "date"])
def test_of_other_texts_nothing_is_proposed(type_, value):
    assert likely_setting(ColumnSettings(type=type_), value) is None
