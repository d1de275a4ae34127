"""Columns with exposure, and their histograms over the bins that the first of two freezes."""

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.aggregates.spread import spreads
from kyros_spark.monitoring.bins import ColumnBins, first_bins, frozen
from kyros_spark.monitoring.sums import Binned, Histograms
from kyros_spark.scoring.arrow_features import as_doubles

MOST = 20_000


def columns(name):
    """Return two columns of a kind, each its values and its exposure."""
    rng = np.random.default_rng(len(name))
    sizes = 4000, 1500
    make = {
        "uniform": lambda n, s: rng.uniform(0, 1 + s, n),
        "skewed": lambda n, s: rng.gamma(1.5 + s, 10, n),
        "tied": lambda n, s: rng.poisson(3 + s, n).astype(float),
        "constant": lambda n, s: np.full(n, 7.0),
        "with missing": lambda n, s: np.where(rng.random(n) < 0.1 + s, np.nan, rng.normal(size=n)),
    }[name]
    return tuple(
        (make(n, s), rng.uniform(0.1, 1.0, n)) for n, s in zip(sizes, (0, 0.1), strict=True)
    )


def histogram(bins, column, most=MOST):
    """Return a column's histogram over bins; in batches of uneven size."""
    values, weight = column
    table = pa.table({"x": values, "w": weight})
    state = Histograms(binning(bins), most)
    for start in range(0, table.num_rows, 701):
        state.add(table.slice(start, 701).combine_chunks().to_batches()[0])
    return state.result()["x"]


def binning(bins):
    def binned(batch):
        names, codes, values = bins.binned(batch.column("x"))
        yield Binned("x", names, codes, as_doubles(batch.column("w")), values)

    return binned


def measured(before, now, is_number=True, count=10):
    """Return the bins that the first column freezes, and both histograms over them."""
    if not is_number:
        bins = ColumnBins("x")
        return bins, histogram(bins, before), histogram(bins, now)
    rows = DriverRows(pa.table({"x": before[0], "w": before[1]}))
    spread = spreads(rows, ["x", "w"], ["x"], lambda batch: {
        "x": (as_doubles(batch.column("x")), as_doubles(batch.column("w")))})  # fmt: skip
    first = first_bins("x", spread.get("x"))
    bins, baseline = frozen(first, histogram(first, before), count)
    return bins, baseline, bins.full(histogram(bins, now))
