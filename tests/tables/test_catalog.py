"""tables.catalog: the same tables in a metastore's schema, found by name."""

import pytest
from portfolio import FIRST

from kyros_spark.config import load_config
from kyros_spark.delta.tables import DeltaTables

SCHEMA = "spark_catalog.kyros_tiny"


@pytest.fixture(scope="module")
def catalogued(spark, tmp_path_factory):
    from portfolio import Portfolio

    folder = tmp_path_factory.mktemp("catalog")
    spark.sql(f"CREATE SCHEMA {SCHEMA} LOCATION '{folder / 'warehouse'}'")
    portfolio = Portfolio(folder).write_sources()
    portfolio.set("tables", {"catalog": SCHEMA, "artefacts": str(folder / "models")})
    portfolio.set("train.models", {"frequency": portfolio.settings["train"]["models"]["frequency"]})
    portfolio.set("predict", {"models": ["frequency"]})
    portfolio.line = portfolio.must(f"run --batch {FIRST}")
    yield portfolio
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


def test_the_chain_writes_tables_of_the_schema(spark, catalogued):
    names = {row["tableName"] for row in spark.sql(f"SHOW TABLES IN {SCHEMA}").collect()}
    assert names >= {"policies", "claims", "prepared", "models", "predictions", "runs"}
    found = spark.table(f"{SCHEMA}.predictions").where(f"batch_id = '{FIRST}'")
    assert found.count() == 120


def test_a_second_run_skips(catalogued):
    line = catalogued.must(f"run --batch {FIRST}")
    assert line["status"] == "skipped"


def test_a_version_read_by_name_is_that_version(spark, catalogued):
    tables = DeltaTables(spark, load_config(str(catalogued.config_file())).tables)
    assert tables.read("predictions", 0).count() == 0
    assert tables.read("predictions").count() == 120


def test_comments_and_constraints_are_the_catalogs(spark, catalogued):
    told = spark.sql(f"DESCRIBE TABLE {SCHEMA}.policies").collect()
    assert {row["col_name"]: row["comment"] for row in told}["power"] == "engine power in kW"
    extended = spark.sql(f"DESCRIBE TABLE EXTENDED {SCHEMA}.policies").collect()
    comment = next(row["data_type"] for row in extended if row["col_name"] == "Comment")
    assert comment.startswith("Clean policies")
    with pytest.raises(Exception, match="batch_given"):
        spark.sql(f"UPDATE {SCHEMA}.policies SET batch_id = NULL")


def test_the_prompt_reads_them_by_name(catalogued):
    query = ["sql", "-e", "SELECT count(*) AS n FROM policies VERSION AS OF 1"]
    outcome = catalogued.kyros(query)
    assert outcome.code == 0 and "|120|" in outcome.lines[3].replace(" ", "")


def test_a_schema_that_is_not_there_is_named(catalogued):
    catalogued.set("tables.catalog", "spark_catalog.nowhere")
    outcome = catalogued.kyros(f"clean --batch {FIRST}")
    assert outcome.code == 2
    assert "schema spark_catalog.nowhere" in outcome.message
