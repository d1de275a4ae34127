"""Profile a clean batch: totals computed along with the verdicts, and the rest from a sample.

The totals (missing values, minimum, maximum, mean, standard deviation) cover every row. Distinct
values, quantiles, levels and findings come from a sample of bounded size, chosen by a hash of the
key: the same rows on every run.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted

SAMPLE_STEP = "_step"  # a hash of the key, 0 to 2^20 - 1
SAMPLED_AS_THEY_ARE = ("string", "int", "long", "double")
_STEPS = 1 << 20


def totals(source: SourceSettings) -> list[Column]:
    """Return the aggregates over all rows: count of values per column, minimum, maximum and sums.

    Only numbers have a sum and a sum of squares, and only fixed-width columns a minimum and
    maximum: those of texts would make Spark sort.
    """
    aggregates = []
    for n, (name, column) in enumerate(source.columns.items()):
        value = quoted(name)
        aggregates.append(F.expr(f"count({value}) AS given_{n}"))
        if is_number(column.type) or column.type in ("date", "timestamp"):
            aggregates += [F.expr(f"{kind}({value}) AS {kind}_{n}") for kind in ("min", "max")]
        if is_number(column.type):
            number = f"CAST({value} AS DOUBLE)"
            aggregates.append(F.expr(f"sum({number}) AS sum_{n}"))
            aggregates.append(F.expr(f"sum({number} * {number}) AS squares_{n}"))
    return aggregates


def is_number(type_: str) -> bool:
    """Tell whether a declared type is numeric."""
    return type_ in ("int", "long", "double") or type_.startswith("decimal")


def sample(clean: DataFrame, source: SourceSettings, rows: int, total: int) -> DataFrame:
    """Return about ``rows`` of ``total`` rows, chosen by a hash of the key; numbers are doubles."""
    chosen = clean
    if total > rows:
        chosen = clean.where(f"{_step(source)} < {sample_steps(rows, total)}")
    return chosen.selectExpr(
        *(f"{_sample_value(n, c.type)} AS {quoted(n)}" for n, c in source.columns.items())
    )


def sample_steps(rows: int, total: int) -> int:
    """Return the value of SAMPLE_STEP below which a row belongs to a sample."""
    return round(_STEPS * rows / total)


def sampled_values(source: SourceSettings) -> list[str]:
    """Return as SQL what a sample takes of each row besides the source's columns.

    That is SAMPLE_STEP, and `sample_value` of the columns for which only Spark can compute it.
    """
    values = (
        f"{_sample_value(name, column.type)} AS {quoted(sample_value(name))}"
        for name, column in source.columns.items()
        if column.type not in SAMPLED_AS_THEY_ARE
    )
    return [f"{_step(source)} AS {SAMPLE_STEP}", *values]


def sample_value(name: str) -> str:
    """Return the name of the column that holds another column's value as a sample has it."""
    return f"_sample_{name}"


def _step(source: SourceSettings) -> str:
    key = ", ".join(quoted(name) for name in source.key or tuple(source.columns))
    return f"pmod(xxhash64({key}), {_STEPS})"


def _sample_value(name: str, type_: str) -> str:
    return f"CAST({quoted(name)} AS {'DOUBLE' if is_number(type_) else 'STRING'})"
