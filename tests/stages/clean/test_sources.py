"""The same extract gives the same clean policies, whatever format it comes in."""

import pytest
from portfolio import FIRST, SECOND

COLUMNS = ("policy_id", "client_id", "start", "age", "power", "fuel", "area", "bonus", "exposure")


def convert(spark, portfolio, format_, typed):
    """Write the policies' CSV once more in another format, as text or with types of their own."""
    frame = spark.read.option("header", "true").option("inferSchema", str(typed).lower())
    rows = frame.csv(str(portfolio.source()))
    folder = portfolio.folder / f"as_{format_}"
    rows.write.format(format_).save(str(folder))
    portfolio.set("sources.policies.format", format_)
    portfolio.set("sources.policies.path", str(folder))


def clean_policies(spark, portfolio):
    rows = portfolio.read(spark, "policies", FIRST).select(*COLUMNS).collect()
    return sorted(map(tuple, rows))


@pytest.mark.repeats
@pytest.mark.parametrize(
    "format_, typed",
    [("parquet", False), ("parquet", True), ("json", False), ("json", True), ("delta", True)],
)
def test_a_format_changes_nothing(spark, raw_portfolio, finished, format_, typed):
    convert(spark, raw_portfolio, format_, typed)
    line = raw_portfolio.must(f"clean --batch {FIRST}")
    assert line["rows_rejected"] == 0
    assert clean_policies(spark, raw_portfolio) == clean_policies(spark, finished)


@pytest.mark.parametrize("format_", ["parquet", "json", "delta"])
def test_a_column_that_a_format_lacks_is_named(spark, raw_portfolio, format_):
    convert(spark, raw_portfolio, format_, typed=True)
    raw_portfolio.set("sources.policies.columns.colour", {"type": "string"})
    outcome = raw_portfolio.kyros(f"clean --batch {FIRST}")
    assert outcome.code == 3
    assert outcome.line["error"]["type"] == "SourceSchemaError"
    assert "colour" in outcome.message


def test_a_fraction_in_a_typed_source_is_no_integer(spark, raw_portfolio):
    rows = spark.read.option("header", "true").option("inferSchema", "true")
    frame = rows.csv(str(raw_portfolio.source())).selectExpr("* except (age)", "age + 0.5D AS age")
    frame.write.parquet(str(raw_portfolio.folder / "half"))
    raw_portfolio.set("sources.policies.format", "parquet")
    raw_portfolio.set("sources.policies.path", str(raw_portfolio.folder / "half"))
    outcome = raw_portfolio.kyros(f"clean --batch {FIRST}")
    assert outcome.code == 3
    assert "type in age" in outcome.message


@pytest.mark.slow
def test_a_corrected_delta_source_is_seen_as_new(spark, raw_portfolio):
    convert(spark, raw_portfolio, "delta", typed=True)
    raw_portfolio.must(f"clean --batch {FIRST}")
    assert raw_portfolio.must(f"clean --batch {FIRST}")["status"] == "skipped"
    folder = str(raw_portfolio.folder / "as_delta")
    spark.sql(f"UPDATE delta.`{folder}` SET age = 55 WHERE policy = 'P000'")
    assert raw_portfolio.must(f"clean --batch {FIRST}")["status"] == "done"
    age = raw_portfolio.read(spark, "policies", FIRST).where("policy_id = 'P000'").first()["age"]
    assert age == 55


@pytest.mark.slow
def test_a_changed_type_of_a_typed_source_is_told_and_refused(
    spark, raw_portfolio, tables_as_before
):
    """The values read alike, so only the source's own types tell that its maker changed something."""
    convert(spark, raw_portfolio, "parquet", typed=True)
    raw_portfolio.must(f"clean --batch {FIRST}")
    types = {r["column"]: r["source_type"] for r in raw_portfolio.read(spark, "profiles").collect()}
    assert (types["age"], types["bonus"], types["city"]) == ("int", "double", None)
    before = spark.read.parquet(str(raw_portfolio.folder / "as_parquet"))
    changed = before.withColumns(
        {"age": before.age.cast("string"), "bonus": before.bonus.cast("decimal(4,2)")}
    )
    changed.write.parquet(str(raw_portfolio.folder / "changed"))
    raw_portfolio.set("sources.policies.path", str(raw_portfolio.folder / "changed"))
    raw_portfolio.set("clean.changes", "fail")
    tables_as_before(raw_portfolio.base)
    outcome = raw_portfolio.kyros(f"clean --batch {SECOND}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "BatchChangedError")
    what = outcome.line["details"]["policies"]["changes"]["what"]
    assert what == [
        "age: type int became string in the source",
        "bonus: type double became decimal(4,2) in the source",
    ]
