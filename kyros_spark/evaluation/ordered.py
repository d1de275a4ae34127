"""Cumulate sums in order of a value, exactly, without bringing all rows to one place.

Equal values are one group: neither the Gini nor a quantile depends on how ties are ordered. The
groups are cut into ranges of the value, each range is cumulated by a task of its own, and what
lies below a range is added from the ranges' totals, which are all that reaches the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RANGE, VALUE = "_range", "value"
ROWS_A_RANGE = 1_000_000
# The midpoint of a group this near to a boundary counts as beyond it, whatever the order of sums.
_TOLERANCE = 1e-9


def range_of(value: Column, bounds: Sequence[float]) -> Column:
    """Return the number of the range a value lies in, given the ranges' upper bounds."""
    found = F.lit(0)
    for bound in sorted(set(bounds)):
        found = found + (value > bound).cast("int")
    return found.alias(RANGE)


def range_bounds(
    rows: DataFrame, values: Mapping[Any, Column], ranges: int
) -> dict[Any, list[float]]:
    """Return where to cut each value into ranges of about as many rows; no result depends on it."""
    if not ranges:
        return {}
    cuts = F.array(*(F.lit(n / (ranges + 1)) for n in range(1, ranges + 1)))
    told = [F.percentile_approx(v, cuts, 1000).alias(str(n)) for n, v in values.items()]
    row = rows.agg(*told).first()
    assert row is not None
    return {n: list(row[str(n)] or ()) for n in values}


def cumulated(rows: DataFrame, curve: Sequence[str], sums: Sequence[str]) -> DataFrame:
    """Return a row a curve and distinct value: its sums, and what its range holds up to its middle.

    rows: columns of ``curve``, RANGE, VALUE and ``sums``; among these units and observed.
    """
    groups = rows.groupBy(*curve, RANGE, VALUE).agg(*(F.sum(name).alias(name) for name in sums))
    up_to = Window.partitionBy(*curve, RANGE).orderBy(VALUE)
    return groups.withColumns(
        {
            "_units_to_middle": F.sum("units").over(up_to) - F.col("units") / 2,
            "_observed_to_middle": F.sum("observed").over(up_to) - F.col("observed") / 2,
        }
    )


def range_totals(groups: DataFrame, curve: Sequence[str]) -> list[dict[str, Any]]:
    """Return the totals of each range, in order, with what lies below it in its curve."""
    area = F.col("units") * F.col("_observed_to_middle")
    totals = groups.groupBy(*curve, RANGE).agg(
        F.sum("units").alias("units"),
        F.sum("observed").alias("observed"),
        F.sum(area).alias("area"),
    )
    rows = sorted(
        (row.asDict() for row in totals.collect()),
        key=lambda row: tuple(row[name] for name in (*curve, RANGE)),
    )
    for one in _curves(rows, curve).values():
        for name in ("units", "observed"):
            below = [0.0, *accumulate(row[name] or 0.0 for row in one)]
            for row, sum_ in zip(one, below, strict=False):
                row[f"{name}_below"], row[f"{name}_total"] = sum_, below[-1]
    return rows


def gini(ranges: Sequence[Mapping[str, Any]]) -> float | None:
    """Return 1 - 2 x the area under the Lorenz curve: linear across a tie, 0 if all are equal."""
    units, seen = ranges[0]["units_total"], ranges[0]["observed_total"]
    if not units or not seen:
        return None
    area = sum(row["area"] + row["observed_below"] * row["units"] for row in ranges)
    return float(1 - 2 * area / (units * seen))


def ginis(rows: Iterable[dict[str, Any]], curve: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    """Return the Gini of each curve."""
    return {of: gini(ranges) for of, ranges in _curves(rows, curve).items()}


def quantiles(
    groups: DataFrame,
    totals: Sequence[Mapping[str, Any]],
    curve: Sequence[str],
    sums: Sequence[str],
    count: int,
) -> list[dict[str, Any]]:
    """Return the sums by ``count`` groups of equal units, in order, with least and most value.

    A tie lies whole in the quantile of its middle, so that a quantile may be empty, and is then
    left out.
    """
    names = (*curve, RANGE)
    told = [[*(row[n] for n in names), row["units_below"], row["units_total"]] for row in totals]
    if not told:
        return []
    spark = groups.sparkSession
    kinds = {field.name: field.dataType.simpleString() for field in groups.schema.fields}
    schema = ", ".join(f"{n} {kinds[n]}" for n in names) + ", _below double, _total double"
    below = F.broadcast(spark.createDataFrame(told, schema))
    share = (F.col("_below") + F.col("_units_to_middle")) / F.col("_total")
    number = F.least(F.floor(share * count + _TOLERANCE), F.lit(count - 1)).cast("int") + 1
    found = groups.join(below, on=list(names)).withColumn("quantile", number)
    return [
        row.asDict()
        for row in found.groupBy(*curve, "quantile")
        .agg(
            *(F.sum(name).alias(name) for name in sums),
            F.min(VALUE).alias("least"),
            F.max(VALUE).alias("most"),
        )
        .orderBy(*curve, "quantile")
        .collect()
    ]


def _curves(
    rows: Iterable[dict[str, Any]], curve: Sequence[str]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in curve), []).append(row)
    return found
