"""Write docs/tables.md from the contracts: `python -m kyros_spark.tables.page > docs/tables.md`."""

from __future__ import annotations

import sys

from kyros_spark.config import Config, load_config
from kyros_spark.tables.all import all_tables
from kyros_spark.tables.contract import Table

_HEAD = """# Tables

Each table is a Delta table under `tables.base` or in `tables.catalog`. The comments are those of
the tables themselves (`DESCRIBE TABLE EXTENDED`). The constraints are enforced on every write, and
the `userMetadata` of every commit is the run id. Columns that the settings declare are shown for
`conf/demo.yaml`. This page is generated from the contracts in `kyros_spark/tables/`, and a test
holds it to them.
"""


def page(config: Config) -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *(_section(table) for table in all_tables(config))])


def _section(table: Table) -> str:
    lines = [f"## {table.name}", table.comment, ""]
    facts = {
        "key": ", ".join(f"`{name}`" for name in table.key),
        "partitioned by": ", ".join(f"`{name}`" for name in table.partition_by),
        "constraints": "; ".join(f"`{rule}`" for rule in table.constraints.values()),
    }
    lines += [f"- {name}: {value}" for name, value in facts.items() if value]
    lines += ["", "| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{c.name}` | {c.type} | {c.comment} |" for c in table.columns]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page(load_config("conf/demo.yaml")))
