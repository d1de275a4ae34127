"""The statements for Unity Catalog say what the contracts say, in SQL that a parser takes."""

from pathlib import Path

import pytest

from kyros_spark.config import load_config
from kyros_spark.tables.all import (
    all_tables,
)
from kyros_spark.tables.unity import statements

DEMO = str(Path(__file__).parents[2] / "conf" / "demo.yaml")


@pytest.fixture(scope="module")
def told():
    return statements(load_config(DEMO))


def test_every_table_is_tagged_and_every_key_without_nulls_is_primary(told):
    tables = all_tables(load_config(DEMO))
    assert len([one for one in told if "SET TAGS" in one]) == len(tables)
    keyed = {one.split("`")[5] for one in told if "PRIMARY KEY" in one}
    assert keyed == {table.name for table in tables} - {"rejects", "relativities", "repairs"}
    assert (
        "ALTER TABLE `main`.`pricing`.`policies` ADD CONSTRAINT `policies_key` "
        "PRIMARY KEY (`batch_id`, `policy_id`) NOT ENFORCED RELY"
    ) in told


def test_a_parser_takes_what_is_not_unity_catalogs_own(spark, told):
    if not spark.version.startswith("4.1"):
        pytest.skip(f"Spark {spark.version} does not parse primary keys; 4.1 does")
    parser = spark._jsparkSession.sessionState().sqlParser()
    for statement in told:
        if "SET TAGS" not in statement:
            parser.parsePlan(statement)


@pytest.mark.parametrize("table", [t.name for t in all_tables(load_config(DEMO))])
def test_a_key_that_becomes_primary_names_columns_of_its_table(told, table):
    names = {t.name: set(t.names) for t in all_tables(load_config(DEMO))}[table]
    for one in told:
        if f"`{table}`" in one and "SET NOT NULL" in one:
            assert one.split("`")[7] in names
