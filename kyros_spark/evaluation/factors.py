"""Sum observed, expected and price moves by every level of every factor, in one pass."""

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
# Bands of price change, new over old: the upper end of each band and its label.
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
    models: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
    max_levels: int,
) -> list[dict[str, Any]]:
    """Return the sums of each factor, level and part.

    Besides these three, a row has ``_size`` (exposure), the SUMS as ``NAME_n`` for model number n,
    and for each pair the columns of _price_moves.

    levels: the expression of each factor's level. The levels of least exposure beyond
    ``max_levels`` are merged into one, so that a factor brings few levels to the driver.
    """
    values: dict[str, Column] = {"_size": F.col("exposure")}
    for model in models:
        columns = zip(SUMS, measures(model, claims_of(wide)), strict=True)
        values |= {
            f"{name}_{model.number}": F.when(usable(model), value) for name, value in columns
        }
    for pair in pairs:
        values |= _price_moves(pair)
    factors = [
        F.struct(
            F.lit(name).alias("factor"), F.coalesce(level, F.lit(MISSING_LEVEL)).alias("level")
        )
        for name, level in levels.items()
    ]
    rows = wide.select(
        F.array(*factors).alias("_factors"),
        F.col("split").alias("part"),
        *((value * F.col(STANDS_FOR)).alias(name) for name, value in values.items()),
    )
    rows = rows.select(F.inline("_factors"), "part", *values)
    sums = [F.sum(name).alias(name) for name in values]
    by_level = rows.groupBy(*_BY).agg(*sums)
    merged = _merge_small_levels(by_level, max_levels).groupBy(*_BY).agg(*sums)
    return [row.asDict() for row in merged.collect()]


def _price_moves(pair: Pair) -> dict[str, Column]:
    """Return the columns to sum for a pair: exposure x ratio, and exposure by band."""
    exposure, ratio = F.col("exposure"), pair.ratio
    moves = {f"moved_{pair.number}": exposure * ratio}
    below = F.lit(False)
    for number, (most, _) in enumerate(BANDS):
        inside = ratio <= most
        moves[f"band{number}_{pair.number}"] = F.when(inside & ~below, exposure).otherwise(0.0)
        below = inside
    return moves


def _merge_small_levels(sums: DataFrame, max_levels: int) -> DataFrame:
    """Give one common name to a factor's levels beyond the ``max_levels`` of most exposure."""
    whole = F.sum("_size").over(Window.partitionBy("factor", "level"))
    by_size = Window.partitionBy("factor").orderBy(F.desc("_level_size"), "level")
    ranked = sums.withColumn("_level_size", whole).withColumn("_rank", F.dense_rank().over(by_size))
    is_large = F.col("_rank") <= max_levels
    return ranked.withColumn("level", F.when(is_large, F.col("level")).otherwise(OTHER_LEVELS))


def ordered_levels(
    sums: Sequence[Mapping[str, Any]], declared: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return each factor's levels in display order: that of the settings, else by exposure.

    sums: from factor_sums. declared: the levels of a factor, in order, where the settings or the
    groups of a number give one. Merged and missing levels come last.
    """
    sizes: dict[str, dict[str, float]] = {}
    for row in sums:
        by_level = sizes.setdefault(row["factor"], {})
        by_level[row["level"]] = by_level.get(row["level"], 0.0) + row["_size"]
    last = (OTHER_LEVELS, MISSING_LEVEL)

    def sort_key(factor: str, level: str) -> tuple[int, int, float, str]:
        order = list(declared.get(factor, ()))
        number = order.index(level) if level in order else len(order)
        return (1 + last.index(level) if level in last else 0, number, -sizes[factor][level], level)

    return {
        factor: sorted(levels, key=lambda level, f=factor: sort_key(f, level))  # type: ignore[misc]
        for factor, levels in sizes.items()
    }
