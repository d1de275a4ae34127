"""Sum observed, expected and price moves by every level of every factor, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.evaluation.arrays import BatchArrays, Numbers
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.numbers import NumberGroups
from kyros_spark.evaluation.rows import STANDS_FOR, SUMS, row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.sums_by_group import SumsByGroup
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
Factors = Mapping[str, NumberGroups | None]  # a number's groups by name; None for a text
LargeLevels = Mapping[str, frozenset[str]]
Models = Sequence[EvaluatedModel]


class FactorSums(SumsByGroup):
    """Sums by factor, level and part.

    Besides these three, a row has ``_size`` (exposure), the SUMS as ``NAME_n`` for model number n,
    and for each pair ``moved_n`` (exposure x ratio) and ``bandK_n`` (exposure by band).
    """

    def __init__(
        self, factors: Factors, large: LargeLevels, models: Models, pairs: Sequence[Pair]
    ) -> None:
        """Take the factors, the levels that keep their names, the models and the pairs."""
        names = [f"{name}_{model.number}" for model in models for name in SUMS]
        for pair in pairs:
            names += [f"moved_{pair.number}"]
            names += [f"band{number}_{pair.number}" for number in range(len(BANDS))]
        super().__init__(_BY, ["_size", *names])
        self._factors, self._large = factors, large
        self._models, self._pairs = models, pairs

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        measures = Measures(batch)
        size = measures.rows.numbers("exposure").times(measures.rows.stands_for)
        columns = {"_size": size}
        for model in self._models:
            sums = measures.sums(model).items()
            columns |= {f"{name}_{model.number}": column for name, column in sums}
        for pair in self._pairs:
            columns |= _price_moves(measures.price_ratio(pair), size, pair.number)
        parts, factor = measures.parts, np.zeros(measures.rows.count, dtype=np.int64)
        for name, groups in self._factors.items():
            codes, levels = level_codes(measures.rows, name, groups)
            large = self._large[name]
            shown = [level if level in large else OTHER_LEVELS for level in levels]
            self.add_groups([factor, codes, parts.codes], [[name], shown, parts.texts], columns)


def _price_moves(ratio: Numbers, size: Numbers, pair: int) -> dict[str, Numbers]:
    """Return the columns to sum for a pair: exposure x ratio, and exposure by band."""
    moves = {f"moved_{pair}": size.times(ratio)}
    band = np.searchsorted([most for most, _ in BANDS], ratio.values, side="left")
    for number in range(len(BANDS)):
        inside = ratio.given & (band == number)
        moves[f"band{number}_{pair}"] = Numbers(np.where(inside, size.values, 0.0), size.given)
    return moves


def level_codes(
    rows: BatchArrays, name: str, groups: NumberGroups | None
) -> tuple[np.ndarray, list[str]]:
    """Return each row's level of a factor as a position among levels, and the levels.

    groups: those of a number; None for a factor that is text.
    """
    if groups is not None:
        return groups.codes(rows.numbers(name)), [*groups.labels, MISSING_LEVEL]
    texts = rows.texts(name)
    codes = np.where(texts.codes < 0, len(texts.texts), texts.codes)
    return codes, [*texts.texts, MISSING_LEVEL]


def factor_sums(
    rows: RowSource,
    extra: Sequence[str],
    factors: Factors,
    large: LargeLevels,
    models: Models,
    pairs: Sequence[Pair],
) -> list[dict[str, Any]]:
    """Return the FactorSums of all rows, one dictionary per factor, level and part.

    extra: columns that judging needs besides the models' own and the factors.
    large: the levels of each factor that keep their names; the others are summed as OTHER_LEVELS.
    """
    compared = [model for pair in pairs for model in (pair.new, pair.old)]
    needed = row_columns([*models, *compared], *extra, *factors)
    return rows.aggregate(needed, lambda: FactorSums(factors, large, models, pairs)).result()


def largest_levels(wide: DataFrame, factors: Factors, most: int) -> dict[str, frozenset[str]]:
    """Return the ``most`` levels of largest exposure of each factor, of rows on the executors.

    The levels of one factor may be millions, so they are ranked where they are.
    """
    levels = [
        F.struct(
            F.lit(name).alias("factor"),
            F.coalesce(
                F.col(name) if groups is None else groups.level(name), F.lit(MISSING_LEVEL)
            ).alias("level"),
        )
        for name, groups in factors.items()
    ]
    size = (F.col("exposure") * F.col(STANDS_FOR)).alias("_size")
    sizes = wide.select(F.inline(F.array(*levels)), size).groupBy("factor", "level")
    by_size = Window.partitionBy("factor").orderBy(F.desc("_size"), "level")
    ranked = sizes.agg(F.sum("_size").alias("_size")).withColumn("_rank", F.rank().over(by_size))
    rows = ranked.where(F.col("_rank") <= most).collect()
    return {
        name: frozenset(row["level"] for row in rows if row["factor"] == name) for name in factors
    }


def local_largest_levels(table: pa.Table, factors: Factors, most: int) -> dict[str, frozenset[str]]:
    """Return the ``most`` levels of largest exposure of each factor, of rows in this process."""
    rows, largest = BatchArrays(table), {}
    size = rows.numbers("exposure").times(rows.stands_for).values
    for name, groups in factors.items():
        codes, levels = level_codes(rows, name, groups)
        sizes = np.bincount(codes, size, minlength=len(levels)).tolist()
        filled = np.bincount(codes, minlength=len(levels))
        ranked = sorted(
            (-value, level) for value, level, n in zip(sizes, levels, filled, strict=True) if n
        )
        largest[name] = frozenset(level for _, level in ranked[:most])
    return largest


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
