"""Sum what was observed and expected by every factor, and how prices move, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.rows import STANDS_FOR, SUMS, claims_of, measures, usable
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.transforms.encode import MISSING_LEVEL

OTHER_LEVELS = "(other levels)"
# Change of price, new over old: the upper end of each band, and what it is called.
BANDS = (
    (0.8, "below -20 %"),
    (0.9, "-20 to -10 %"),
    (0.95, "-10 to -5 %"),
    (1.05, "-5 to +5 %"),
    (1.1, "+5 to +10 %"),
    (1.25, "+10 to +25 %"),
    (float("inf"), "above +25 %"),
)
_BY = ("factor", "level", "part")


def factor_sums(
    wide: DataFrame,
    levels: Mapping[str, Column],
    subjects: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
    max_levels: int,
) -> list[dict[str, Any]]:
    """Return the sums of each factor, level and part: SUMS_n of model n, what _moves says of pairs.

    levels: how each factor's level is computed; levels of least exposure beyond ``max_levels`` are
    put together, so that no factor brings more than that to the driver.
    """
    values: dict[str, Column] = {"_size": F.col("exposure")}
    for one in subjects:
        told = zip(SUMS, measures(one, claims_of(wide)), strict=True)
        values |= {f"{name}_{one.number}": F.when(usable(one), value) for name, value in told}
    for pair in pairs:
        values |= _moves(pair)
    each = [
        F.struct(
            F.lit(name).alias("factor"), F.coalesce(level, F.lit(MISSING_LEVEL)).alias("level")
        )
        for name, level in levels.items()
    ]
    rows = wide.select(
        F.array(*each).alias("_factors"),
        F.col("split").alias("part"),
        *((value * F.col(STANDS_FOR)).alias(name) for name, value in values.items()),
    )
    rows = rows.select(F.inline("_factors"), "part", *values)
    sums = [F.sum(name).alias(name) for name in values]
    found = _few(rows.groupBy(*_BY).agg(*sums), max_levels).groupBy(*_BY).agg(*sums)
    return [row.asDict() for row in found.collect()]


def _moves(pair: Pair) -> dict[str, Column]:
    """Return what is summed of a pair: exposure times ratio, and the exposure of each band."""
    exposure, ratio = F.col("exposure"), pair.ratio
    moves = {f"moved_{pair.number}": exposure * ratio}
    below = F.lit(False)
    for number, (most, _) in enumerate(BANDS):
        inside = ratio <= most
        moves[f"band{number}_{pair.number}"] = F.when(inside & ~below, exposure).otherwise(0.0)
        below = inside
    return moves


def _few(sums: DataFrame, max_levels: int) -> DataFrame:
    """Rename the levels of least exposure beyond the first ``max_levels`` of a factor."""
    whole = F.sum("_size").over(Window.partitionBy("factor", "level"))
    by_size = Window.partitionBy("factor").orderBy(F.desc("_level_size"), "level")
    ranked = sums.withColumn("_level_size", whole).withColumn("_rank", F.dense_rank().over(by_size))
    is_kept = F.col("_rank") <= max_levels
    return ranked.withColumn("level", F.when(is_kept, F.col("level")).otherwise(OTHER_LEVELS))


def ordered_levels(
    found: Sequence[Mapping[str, Any]], known: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return each factor's levels as they are shown: in the settings' order, or by exposure."""
    sizes: dict[str, dict[str, float]] = {}
    for row in found:
        of = sizes.setdefault(row["factor"], {})
        of[row["level"]] = of.get(row["level"], 0.0) + row["_size"]
    last = (OTHER_LEVELS, MISSING_LEVEL)

    def place(factor: str, level: str) -> tuple[int, int, float, str]:
        order = list(known.get(factor, ()))
        number = order.index(level) if level in order else len(order)
        return (1 + last.index(level) if level in last else 0, number, -sizes[factor][level], level)

    return {
        factor: sorted(levels, key=lambda level, f=factor: place(f, level))  # type: ignore[misc]
        for factor, levels in sizes.items()
    }
