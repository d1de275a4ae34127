"""What differs between Spark 3.5, 4.0 and 4.1: the only place that knows.

Which Delta goes with which Spark, runtime.py knows.

| | 3.5 | 4.0, 4.1 |
|---|---|---|
| casts and arithmetic that fail | NULL, unless ANSI rules are asked for | an error |
| name of an error's condition | getErrorClass | getCondition |
| functions made in SQL | on Databricks only | yes |
| bound on an Arrow batch | rows | rows, and bytes |
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings are read, and models scored, where no Spark is
    from pyspark.errors import PySparkException

# Sessions that we start follow the rules of Spark 4, where an expression that fails says so.
SAME_RULES = {"spark.sql.ansi.enabled": "true"}


def condition_of(error: PySparkException) -> str | None:
    """Return the name of an error's condition, such as TABLE_OR_VIEW_NOT_FOUND, if it has one."""
    named = getattr(error, "getCondition", None) or error.getErrorClass
    condition: str | None = named()
    return condition


def has_sql_functions(version: str) -> bool:
    """Tell whether CREATE FUNCTION takes a body in SQL: from 4.0 on, and on Databricks before."""
    if int(version.partition(".")[0]) >= 4:
        return True
    return on_databricks()


def on_databricks() -> bool:
    """Tell whether this driver is one of Databricks."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ
