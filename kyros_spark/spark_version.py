"""Hold the differences between Spark 3.5, 4.0 and 4.1; no other module depends on them.

The Delta release for each Spark version is in spark/runtime.py.

| | 3.5 | 4.0, 4.1 |
|---|---|---|
| casts and arithmetic that fail | NULL, unless ANSI rules are asked for | an error |
| name of an error's condition | getErrorClass | getCondition |
| DataFrame.toArrow | no | yes |
| functions made in SQL | on Databricks only | yes |
| bound on an Arrow batch | rows | rows, and bytes |
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings are read, and models scored, without Spark
    from pyspark.errors import PySparkException

# Sessions that we start follow Spark 4's rules, under which a failing expression is an error.
SAME_RULES = {"spark.sql.ansi.enabled": "true"}


def condition_of(error: PySparkException) -> str | None:
    """Return the name of an error's condition, such as TABLE_OR_VIEW_NOT_FOUND, if it has one."""
    get_condition = getattr(error, "getCondition", None) or error.getErrorClass
    condition: str | None = get_condition()
    return condition


def has_sql_functions(version: str) -> bool:
    """Return whether CREATE FUNCTION takes a SQL body: from 4.0 on, on Databricks earlier too."""
    if int(version.partition(".")[0]) >= 4:
        return True
    return on_databricks()


def has_to_arrow(version: str) -> bool:
    """Return whether a DataFrame has toArrow: from 4.0 on."""
    return int(version.partition(".")[0]) >= 4


def on_databricks() -> bool:
    """Return whether this driver runs on Databricks."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ
