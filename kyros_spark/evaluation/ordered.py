"""Cumulate sums in order of a value, exactly, without sorting all rows in one place.

Equal values form one group, so neither the Gini nor a quantile depends on the order of ties. The
groups are cut into ranges of the value. A separate task cumulates each range, and the totals of the
ranges, which are all that reaches the driver, supply the sums below each range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RANGE, VALUE = "_range", "value"
ROWS_PER_RANGE = 1_000_000
# A group's midpoint this close below a boundary counts as beyond it. Otherwise rounding, which
# varies with the order of summation, would decide.
TOLERANCE = 1e-9


def range_of(value: Column, bounds: Sequence[float]) -> Column:
    """Return the number of the range that a value lies in, given the ranges' upper bounds."""
    number = F.lit(0)
    for bound in sorted(set(bounds)):
        number = number + (value > bound).cast("int")
    return number.alias(RANGE)


def range_bounds(
    rows: DataFrame, values: Mapping[Any, Column], ranges: int
) -> dict[Any, list[float]]:
    """Return the cuts of each value into ``ranges`` + 1 ranges of about equally many rows.

    The cuts are approximate; no result depends on where they lie.
    """
    if not ranges:
        return {}
    cuts = F.array(*(F.lit(n / (ranges + 1)) for n in range(1, ranges + 1)))
    percentiles = [F.percentile_approx(v, cuts, 1000).alias(str(n)) for n, v in values.items()]
    row = rows.agg(*percentiles).first()
    assert row is not None
    return {n: list(row[str(n)] or ()) for n in values}


def cumulated(rows: DataFrame, curve: Sequence[str], sums: Sequence[str]) -> DataFrame:
    """Return one row per curve and distinct value: its sums, and its range's up to its middle.

    rows: has the columns of ``curve``, RANGE, VALUE and ``sums``, which include units and observed.
    The columns ``_units_to_middle`` and ``_observed_to_middle`` cumulate all lower values of the
    range and half of the value itself.
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
    """Return the totals of each range, in order, with the curve's sums below the range.

    groups: from cumulated. ``area`` is the range's area under the Lorenz curve, before scaling.
    """
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
    for ranges in _curves(rows, curve).values():
        for name in ("units", "observed"):
            below = [0.0, *accumulate(row[name] or 0.0 for row in ranges)]
            for row, sum_below in zip(ranges, below, strict=False):
                row[f"{name}_below"], row[f"{name}_total"] = sum_below, below[-1]
    return rows


def gini(ranges: Sequence[Mapping[str, Any]]) -> float | None:
    """Return 1 - 2 x the area under the Lorenz curve; None if units or observed add up to 0.

    The curve is linear across a tie, so the result is 0 if all values are equal.
    """
    units, observed = ranges[0]["units_total"], ranges[0]["observed_total"]
    if not units or not observed:
        return None
    area = sum(row["area"] + row["observed_below"] * row["units"] for row in ranges)
    return float(1 - 2 * area / (units * observed))


def ginis(rows: Iterable[dict[str, Any]], curve: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    """Return the Gini of each curve, by the values of the curve's columns."""
    return {key: gini(ranges) for key, ranges in _curves(rows, curve).items()}


def quantiles(
    groups: DataFrame,
    totals: Sequence[Mapping[str, Any]],
    curve: Sequence[str],
    sums: Sequence[str],
    count: int,
) -> list[dict[str, Any]]:
    """Return the sums of ``count`` groups of equal units, in order, with least and most value.

    A tie lies entirely in the quantile that holds its middle. A quantile may therefore be empty; it
    is then left out.
    """
    names = (*curve, RANGE)
    rows = [[*(row[n] for n in names), row["units_below"], row["units_total"]] for row in totals]
    if not rows:
        return []
    spark = groups.sparkSession
    types = {field.name: field.dataType.simpleString() for field in groups.schema.fields}
    schema = ", ".join(f"{n} {types[n]}" for n in names) + ", _below double, _total double"
    below = F.broadcast(spark.createDataFrame(rows, schema))
    share = (F.col("_below") + F.col("_units_to_middle")) / F.col("_total")
    number = F.least(F.floor(share * count + TOLERANCE), F.lit(count - 1)).cast("int") + 1
    numbered = groups.join(below, on=list(names)).withColumn("quantile", number)
    return [
        row.asDict()
        for row in numbered.groupBy(*curve, "quantile")
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
    by_curve: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_curve.setdefault(tuple(row[name] for name in curve), []).append(row)
    return by_curve
