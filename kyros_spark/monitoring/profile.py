"""Profile the rows of a batch: a histogram of each feature, whole and by the levels of segments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa

from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.histogram import Histogram
from kyros_spark.monitoring.sums import Binned, Histograms
from kyros_spark.scoring.arrow_features import as_doubles, levels_of

EXPOSURE = "exposure"


@dataclass(frozen=True, order=True)
class Subject:
    """What is measured: a column of all rows or of a level of a segment; of a model, its version.

    Where something does not apply it is "".
    """

    column: str
    slice_key: str = ""
    slice_value: str = ""
    model: str = ""
    version: str = ""

    @property
    def label(self) -> str:
        """Return it in words."""
        version = f"@{self.version}" if self.version else ""
        of_model = f" of {self.model}{version}" if self.model else ""
        within = f" where {self.slice_key} is {self.slice_value}" if self.slice_key else ""
        return f"{self.column}{of_model}{within}"


Profile = dict[Subject, Histogram | None]  # None: of more levels than are kept


@dataclass(frozen=True)
class FeaturePlan:
    """The columns to profile with their frozen bins, and the levels of each segment.

    most: the bins that a column may have; one of more is given up.
    """

    bins: Mapping[str, ColumnBins]
    segments: Mapping[str, tuple[str, ...]]
    most: int

    @property
    def columns(self) -> list[str]:
        """Return the columns that are read."""
        return list(dict.fromkeys([EXPOSURE, *self.bins, *self.segments]))

    def state(self) -> Histograms:
        """Return sums of no rows."""
        most = max([self.most, *(len(b.names) for b in self.bins.values() if b.is_number)])
        return Histograms(self._binned, most * max([1, *map(len, self.segments.values())]))

    def profile(self, sums: Histograms) -> Profile:
        """Return the histograms by subject, each over all of its column's bins."""
        result: Profile = {}
        for part, histogram in sums.result().items():
            column, segment = json.loads(part)
            bins = self.bins[column]
            if not segment:
                if not bins.is_number and histogram is not None:
                    histogram = histogram if len(histogram.bins) <= self.most else None
                result[Subject(column)] = bins.full(histogram) if histogram is not None else None
            elif histogram is not None:
                result |= self._sliced(column, segment, histogram)
        return result

    def _binned(self, batch: pa.RecordBatch) -> Iterator[Binned]:
        weight = as_doubles(batch.column(EXPOSURE))
        slices = {
            segment: _slice_codes(batch.column(segment), levels)
            for segment, levels in self.segments.items()
        }
        for column, bins in self.bins.items():
            names, codes, values = bins.binned(batch.column(column))
            yield Binned(json.dumps([column, ""]), names, codes, weight, values)
            if bins.is_number and slices:
                names, codes = bins.coarser.names, bins.coarse_codes(codes)
            for segment, of_rows in slices.items():
                if segment != column:
                    pairs = np.where(of_rows < 0, -1, of_rows * len(names) + codes)
                    both = _Pairs(len(self.segments[segment]), names)
                    yield Binned(json.dumps([column, segment]), both, pairs, weight, values)

    def _sliced(self, column: str, segment: str, histogram: Histogram) -> Profile:
        """Return the histograms of each level of a segment from that of all pairs."""
        pairs = [name.partition(":") for name in histogram.bins]
        of_bins = np.array([int(number) for number, _, _ in pairs], np.int64)
        names = np.array([name for _, _, name in pairs], object)
        result: Profile = {}
        for number in np.unique(of_bins).tolist():
            chosen = histogram.chosen(of_bins == number)
            renamed = Histogram(
                tuple(names[of_bins == number]), chosen.rows, chosen.weight, chosen.squared,
                chosen.total,
            )  # fmt: skip
            level = self.segments[segment][number]
            result[Subject(column, segment, level)] = self.bins[column].coarser.full(renamed)
        return result


class _Pairs(Sequence[str]):
    """The names of pairs of a slice and a bin, each made only where it is asked for."""

    def __init__(self, slices: int, bins: Sequence[str]) -> None:
        self._slices, self._bins = slices, bins

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        number, code = divmod(int(index), len(self._bins))  # type: ignore[arg-type]
        return f"{number}:{self._bins[code]}"

    def __len__(self) -> int:
        return self._slices * len(self._bins)


def _slice_codes(column: pa.Array, levels: Sequence[str]) -> np.ndarray:
    """Return each row's position among the levels of a segment, int64[n]; -1 for any other."""
    places = {level: n for n, level in enumerate(levels)}
    texts, codes = levels_of(column, ())
    return np.array([*(places.get(text, -1) for text in texts), -1], np.int64)[codes]
