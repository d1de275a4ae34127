"""docs/tables.md says what the contracts say."""

from pathlib import Path

from kyros_spark.config import load_config
from kyros_spark.tables.all import TABLE_NAMES, all_tables
from kyros_spark.tables.page import page

ROOT = Path(__file__).parents[2]


def test_the_page_of_tables_is_made_from_the_contracts():
    expected = page(load_config(str(ROOT / "conf" / "demo.yaml")))
    found = (ROOT / "docs" / "tables.md").read_text()
    assert found == expected, "python -m kyros_spark.tables.page > docs/tables.md"


def test_the_names_of_the_tables_are_those_of_their_contracts():
    tables = all_tables(load_config(str(ROOT / "conf" / "demo.yaml")))
    assert tuple(table.name for table in tables) == TABLE_NAMES


def test_every_column_of_every_table_has_a_comment_and_every_table_says_batch_and_run():
    for table in all_tables(load_config(str(ROOT / "conf" / "demo.yaml"))):
        assert all(column.comment for column in table.columns), table.name
        assert {"batch_id", "run_id"} <= set(table.names), table.name
        assert len(set(table.names)) == len(table.names), table.name
