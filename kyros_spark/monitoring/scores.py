"""Profile a model's predictions: their distribution, and the mean width of their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.aggregates.spread import spreads
from kyros_spark.monitoring.bins import ColumnBins, first_bins, frozen
from kyros_spark.monitoring.histogram import Histogram
from kyros_spark.monitoring.sums import Binned, Histograms
from kyros_spark.scoring.arrow_features import as_doubles

PREDICTION = "prediction"
_WIDTH = "width"
_COLUMNS = (PREDICTION, "exposure", "lower", "upper")


@dataclass(frozen=True)
class Scores:
    """A model's predictions of a batch. width: the mean of upper - lower; None without intervals.

    width_share: the share of exposure that has an interval.
    """

    histogram: Histogram | None
    width: float | None
    width_share: float = 0.0


def scores_of(rows: RowSource, bins: ColumnBins) -> Scores:
    """Return the profile of predictions over frozen bins. rows: with _COLUMNS."""

    def binned(batch: pa.RecordBatch) -> Iterator[Binned]:
        weight = as_doubles(batch.column("exposure"))
        names, codes, values = bins.binned(batch.column(PREDICTION))
        yield Binned(PREDICTION, names, codes, weight, values)
        width = as_doubles(batch.column("upper")) - as_doubles(batch.column("lower"))
        yield Binned(_WIDTH, [""], np.where(np.isfinite(width), 0, -1), weight, width)

    parts = rows.aggregate(_COLUMNS, lambda: Histograms(binned, len(bins.names))).result()
    predictions, widths = parts.get(PREDICTION), parts.get(_WIDTH)
    full = bins.full(predictions) if predictions is not None else None
    if widths is None or full is None:
        return Scores(full, None)
    return Scores(full, widths.mean, float(widths.weight.sum() / full.weight.sum()))


def frozen_scores(rows: RowSource, count: int) -> tuple[ColumnBins, Scores]:
    """Freeze the bins of a model's predictions of its baseline, and return the profile there.

    count: coarse bins.
    """

    def weighed(batch: pa.RecordBatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {PREDICTION: tuple(as_doubles(batch.column(name)) for name in _COLUMNS[:2])}  # type: ignore[dict-item]

    spread = spreads(rows, list(_COLUMNS[:2]), [PREDICTION], weighed).get(PREDICTION)
    first = first_bins(PREDICTION, spread)
    scores = scores_of(rows, first)
    if scores.histogram is None:
        return first, scores
    bins, histogram = frozen(first, scores.histogram, count)
    return bins, Scores(histogram, scores.width, scores.width_share)
