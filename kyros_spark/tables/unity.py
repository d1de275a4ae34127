"""Write the SQL for what only Unity Catalog stores of a table: its primary key and tags.

`python -m kyros_spark.tables.unity my.yaml > unity.sql`, to be run once in the catalog.
"""

from __future__ import annotations

import sys

from kyros_spark.config import Config, load_config
from kyros_spark.tables.all import all_tables
from kyros_spark.tables.contract import Table
from kyros_spark.tables.ddl import quoted, text

# The level of a number's relativity is NULL, and a rejected record may lack any key.
_NULL_IN_KEY = ("relativities", "rejects")


def statements(config: Config) -> list[str]:
    """Return the statements for all tables of a portfolio.

    Raises:
        ConfigError: by load_config, of a settings file that cannot be read.
    """
    schema = ".".join(quoted(part) for part in (config.tables.catalog or "main.pricing").split("."))
    return [
        statement
        for table in all_tables(config)
        for statement in _of_table(table, f"{schema}.{quoted(table.name)}", config.portfolio)
    ]


def _of_table(table: Table, reference: str, portfolio: str) -> list[str]:
    keys = []
    alter = f"ALTER TABLE {reference}"
    if table.key and table.name not in _NULL_IN_KEY:
        keys += [f"{alter} ALTER COLUMN {quoted(name)} SET NOT NULL" for name in table.key]
        key = ", ".join(map(quoted, table.key))
        keys.append(
            f"{alter} ADD CONSTRAINT {quoted(f'{table.name}_key')} PRIMARY KEY ({key}) "
            "NOT ENFORCED RELY"
        )
    tags = {"kyros_portfolio": portfolio, "kyros_table": table.name}
    assignments = ", ".join(f"{text(name)} = {text(value)}" for name, value in tags.items())
    return [*keys, f"{alter} SET TAGS ({assignments})"]


if __name__ == "__main__":
    for line in statements(load_config(sys.argv[1])):
        sys.stdout.write(f"{line};\n")
