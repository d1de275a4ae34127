"""Read how the batch before lay over its bins, from table profile_metrics, and write this batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.comparison import MEASURES, Comparison, compared
from kyros_spark.monitoring.histogram import ARRAYS, Histogram
from kyros_spark.monitoring.profile import Subject
from kyros_spark.monitoring.rules import CONSECUTIVE, DriftRow
from kyros_spark.stages.monitor.batch import MonitoredBatch
from kyros_spark.tables.drift import SUBJECT
from kyros_spark.tables.profile_metrics import PROFILE_METRICS

_READ = [column.name for column in SUBJECT] + ["min", "max", "bins", "cuts"]
_IN_BIN = dict(zip(ARRAYS, ("rows", "exposure", "exposure_squared", "total"), strict=True))
OTHER_BINS = "measured over the bins of another baseline; monitor that batch again"
NOT_THERE = "the batch before has no such column, level or model version"


@dataclass
class PreviousBatch:
    """The histograms of the batch before by subject, and the cuts that they rest on.

    batch: "" where there is none.
    """

    batch: str = ""
    histograms: dict[Subject, Histogram | None] = field(default_factory=dict)
    cuts: dict[Subject, tuple[float, ...]] = field(default_factory=dict)

    def row(
        self, subject: Subject, bins: ColumnBins, histogram: Histogram | None
    ) -> Iterator[DriftRow]:
        """Yield a subject of the batch compared with the same one of the batch before."""
        if not self.batch:
            return
        if subject not in self.histograms:
            result = Comparison(absent=dict.fromkeys(MEASURES, NOT_THERE))
        elif self.cuts[subject] != bins.cuts:
            result = Comparison(absent=dict.fromkeys(MEASURES, OTHER_BINS))
        else:
            result = compared(bins, histogram, self.histograms[subject])
        if "outside_share" in result.values:  # of the baseline's range, not of this batch's
            result.absent["outside_share"] = "a measure against the baseline"
            del result.values["outside_share"]
            result.p_values.pop("outside", None)
        yield DriftRow(subject, CONSECUTIVE, self.batch, result)


def previous_batch(of: MonitoredBatch) -> PreviousBatch:
    """Return what table profile_metrics holds of the batch before, as it was monitored last."""
    if of.previous is None or PROFILE_METRICS.name not in of.previous[1].outputs:
        return PreviousBatch()
    batch, run = of.previous
    tables, version = of.portfolio.tables, run.outputs[PROFILE_METRICS.name]
    rows = small_rows(tables, PROFILE_METRICS.name, version, _READ, {"batch_id": batch})
    previous = PreviousBatch(batch)
    for row in rows:
        subject = Subject(*(row[column.name] or "" for column in SUBJECT))
        previous.histograms[subject] = _histogram(row)
        previous.cuts[subject] = tuple(row["cuts"] or ())
    return previous


def profile_row(subject: Subject, bins: ColumnBins, histogram: Histogram | None) -> dict[str, Any]:
    """Return a row of table profile_metrics, without batch and run."""
    row: dict[str, Any] = {
        **subject_columns(subject),
        "data_type": "number" if bins.is_number else "levels",
        "cuts": list(bins.cuts),
    }
    if histogram is None:
        return row
    share = histogram.missing_share
    in_bins = zip(*(getattr(histogram, name).tolist() for name in ARRAYS), strict=True)
    return row | {
        "count": histogram.row_count,
        "num_nulls": histogram.missing_rows,
        "percent_null": None if share is None else 100 * share,
        "distinct_count": None if bins.is_number else int((histogram.given.rows > 0).sum()),
        "avg": histogram.mean if bins.is_number else None,
        "min": histogram.least,
        "max": histogram.most,
        "exposure": float(histogram.weight.sum()),
        "bins": [
            {"bin": name, **dict(zip(_IN_BIN.values(), sums, strict=True))}
            for name, sums in zip(histogram.bins, in_bins, strict=True)
        ],
    }


def subject_columns(subject: Subject) -> dict[str, str | None]:
    """Return the columns that name a subject in a table; what does not apply is NULL."""
    values = (subject.column, subject.slice_key, subject.slice_value, subject.model,
              subject.version)  # fmt: skip
    columns = zip(SUBJECT, values, strict=True)
    is_sliced = bool(subject.slice_key)  # a level may be the empty text
    return {
        column.name: value if value or (is_sliced and column.name == "slice_value") else None
        for column, value in columns
    }


def _histogram(row: Mapping[str, Any]) -> Histogram | None:
    bins = row["bins"]
    if bins is None:
        return None
    arrays = {
        name: np.array([entry[column] for entry in bins], np.float64)
        for name, column in _IN_BIN.items()
    }
    names = tuple(entry["bin"] for entry in bins)
    return Histogram(names, **arrays, least=row["min"], most=row["max"])
