"""Find exposure-weighted quantiles without collecting rows: a grid of values, and sums between.

First Spark's percentile_approx gives about a thousand of a number's own values, evenly spread over
the rows; then the exposure between neighbours is summed. A number of up to a thousand rows or of
values that each hold more than 0.1% of them is cut exactly; elsewhere a cut lies within one step of
the grid, 0.1% of the rows (and 0.01%, Spark's own accuracy), of the exact place.
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
    """How exposure is spread over a number's values, from the least to the most.

    values: rising, of the data. below: the exposure of smaller numbers. total: of all numbers.
    """

    values: tuple[float, ...]
    below: tuple[float, ...]
    total: float

    def cuts(self, groups: int) -> tuple[float, ...]:
        """Return the inner cut points of groups of like exposure, fewer where values are tied.

        Each is the value below which the share of exposure comes nearest to k / groups. The least
        value cuts nothing off, and the same value cuts once: no group is empty.
        """
        places = range(len(self.values))
        nearest = {
            min(places, key=lambda n: abs(self.below[n] - self.total * k / groups))
            for k in range(1, groups)
        }
        return tuple(self.values[n] for n in sorted(nearest - {0}))

    def median(self) -> float:
        """Return the least value up to which half of the exposure lies."""
        above = [n for n, below in enumerate(self.below) if below >= self.total / 2]
        return self.values[above[0] - 1 if above else -1]


def spreads(rows: DataFrame, names: Sequence[str]) -> dict[str, Spread]:
    """Return how exposure is spread over some numbers; those without a value are left out."""
    grids = _grids(rows, names)
    if not grids:
        return {}
    cells = Bucketizer(
        inputCols=list(grids),
        outputCols=[f"_cell_{name}" for name in grids],
        # A first cell for what lies below the least value of the grid, which is nothing.
        splitsArray=[[-float("inf"), *values, float("inf")] for values in grids.values()],
        handleInvalid="keep",
    ).transform(rows.select("exposure", *grids))
    pairs = F.array(
        *(F.struct(F.lit(n).alias("name"), F.col(f"_cell_{n}").alias("cell")) for n in grids)
    )
    sums = (
        cells.select(F.explode(pairs).alias("pair"), "exposure")
        .where("pair.cell IS NOT NULL")
        .groupBy("pair.name", "pair.cell")
        .agg(F.sum("exposure").alias("exposure"))
        .collect()
    )
    found = {}
    for name, values in grids.items():
        held = {int(row["cell"]): row["exposure"] for row in sums if row["name"] == name}
        upto = list(accumulate(held.get(cell, 0.0) for cell in range(len(values) + 1)))
        found[name] = Spread(tuple(values), tuple(upto[:-1]), upto[-1])
    return found


def _grids(rows: DataFrame, names: Sequence[str]) -> dict[str, list[float]]:
    if not names:
        return {}
    shares = [step / STEPS for step in range(STEPS + 1)]
    told = rows.agg(*(F.percentile_approx(n, shares, ACCURACY).alias(n) for n in names)).first()
    assert told is not None
    finite = {name: sorted({v for v in told[name] or () if math.isfinite(v)}) for name in names}
    return {name: values for name, values in finite.items() if values}
