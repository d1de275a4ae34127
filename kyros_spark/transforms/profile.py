"""Profile a clean batch: totals that ride along with the verdicts, and the rest from a sample.

The totals (missing, least, most, mean) are of every row. Distinct values, quantiles, levels and
findings are of a sample of bounded size, chosen by hash of the key: the same rows on every run.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted

_STEPS = 1 << 20


def totals(source: SourceSettings) -> list[Column]:
    """Return the aggregates over all rows: each column's values given; least, most, sum of numbers.

    Fixed-width columns only have a least and a most here: texts would make Spark sort.
    """
    found = []
    for n, (name, column) in enumerate(source.columns.items()):
        value = quoted(name)
        found.append(F.expr(f"count({value}) AS given_{n}"))
        if is_number(column.type) or column.type in ("date", "timestamp"):
            found += [F.expr(f"{kind}({value}) AS {kind}_{n}") for kind in ("min", "max")]
        if is_number(column.type):
            found.append(F.expr(f"sum(CAST({value} AS DOUBLE)) AS sum_{n}"))
    return found


def is_number(type_: str) -> bool:
    """Tell whether a declared type is a number's."""
    return type_ in ("int", "long", "double") or type_.startswith("decimal")


def sample(clean: DataFrame, source: SourceSettings, rows: int, total: int) -> DataFrame:
    """Return about ``rows`` of ``total`` rows, chosen by hash of the key, numbers as doubles."""
    chosen = clean
    if total > rows:
        key = ", ".join(quoted(name) for name in source.key or tuple(source.columns))
        chosen = clean.where(f"pmod(xxhash64({key}), {_STEPS}) < {round(_STEPS * rows / total)}")
    return chosen.selectExpr(
        *(f"{_plain(n, c.type)} AS {quoted(n)}" for n, c in source.columns.items())
    )


def _plain(name: str, type_: str) -> str:
    return f"CAST({quoted(name)} AS {'DOUBLE' if is_number(type_) else 'STRING'})"
