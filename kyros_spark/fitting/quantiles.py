"""Compute exposure-weighted quantiles from a grid of values, without collecting rows.

First, Spark's percentile_approx returns about a thousand of a number's own values, evenly spread
over the rows. Then the exposure between neighbouring values is summed. A number of up to a thousand
rows, or of values that each hold more than 0.1% of the rows, is cut exactly. Otherwise a cut lies
within one step of the grid of its exact position: 0.1% of the rows (and 0.01%, Spark's own
accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pyspark.ml.feature import Bucketizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

STEPS, ACCURACY = 1000, 10_000


@dataclass(frozen=True)
class Spread:
    """How exposure is distributed over a number's values.

    values: values of the data, in rising order. below: the exposure of the rows with smaller
    numbers. total: the exposure of all rows with a number.
    """

    values: tuple[float, ...]
    below: tuple[float, ...]
    total: float

    def cuts(self, groups: int) -> tuple[float, ...]:
        """Return the inner cut points of groups of similar exposure, fewer where values are tied.

        Each is the value below which the share of exposure comes nearest to k / groups. The least
        value would cut nothing off and is left out, and no value cuts twice: no group is empty.
        """
        positions = range(len(self.values))
        nearest = {
            min(positions, key=lambda n: abs(self.below[n] - self.total * k / groups))
            for k in range(1, groups)
        }
        return tuple(self.values[n] for n in sorted(nearest - {0}))

    def median(self) -> float:
        """Return the least value up to which half of the exposure lies."""
        above = [n for n, below in enumerate(self.below) if below >= self.total / 2]
        return self.values[above[0] - 1 if above else -1]


def spreads(rows: DataFrame, names: Sequence[str]) -> dict[str, Spread]:
    """Return the spread of each named number; numbers without a value are left out."""
    grids = _grids(rows, names)
    if not grids:
        return {}
    cells = Bucketizer(
        inputCols=list(grids),
        outputCols=[f"_cell_{name}" for name in grids],
        # The first cell is for numbers below the least value of the grid; it stays empty.
        splitsArray=[[-float("inf"), *values, float("inf")] for values in grids.values()],
        handleInvalid="keep",
    ).transform(rows.select("exposure", *grids))
    pairs = F.array(
        *(
            F.struct(F.lit(name).alias("name"), F.col(f"_cell_{name}").alias("cell"))
            for name in grids
        )
    )
    sums = (
        cells.select(F.explode(pairs).alias("pair"), "exposure")
        .where("pair.cell IS NOT NULL")
        .groupBy("pair.name", "pair.cell")
        .agg(F.sum("exposure").alias("exposure"))
        .collect()
    )
    result = {}
    for name, values in grids.items():
        by_cell = {int(row["cell"]): row["exposure"] for row in sums if row["name"] == name}
        cumulative = list(accumulate(by_cell.get(cell, 0.0) for cell in range(len(values) + 1)))
        result[name] = Spread(tuple(values), tuple(cumulative[:-1]), cumulative[-1])
    return result


def _grids(rows: DataFrame, names: Sequence[str]) -> dict[str, list[float]]:
    """Return each number's finite grid values in rising order; numbers without one are left out."""
    if not names:
        return {}
    shares = [step / STEPS for step in range(STEPS + 1)]
    percentiles = (F.percentile_approx(name, shares, ACCURACY).alias(name) for name in names)
    row = rows.agg(*percentiles).first()
    assert row is not None
    finite = {name: sorted({v for v in row[name] or () if math.isfinite(v)}) for name in names}
    return {name: values for name, values in finite.items() if values}
