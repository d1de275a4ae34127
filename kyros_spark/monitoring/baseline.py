"""Freeze a baseline: the bins of every feature, and the histograms of the batches trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.aggregates.spread import spreads
from kyros_spark.config import MonitorSettings
from kyros_spark.model.manifest import MISSING_LEVEL
from kyros_spark.monitoring.bins import ColumnBins, bins_from_json, first_bins, frozen
from kyros_spark.monitoring.histogram import Histogram, histogram_from_json
from kyros_spark.monitoring.profile import EXPOSURE, FeaturePlan, Profile, Subject
from kyros_spark.scoring.arrow_features import as_doubles

FORMAT = 1  # of what is kept; a baseline of another one is measured again


@dataclass(frozen=True)
class FeatureBaseline:
    """The frozen bins, and what the baseline holds. key: the digest that it is kept under."""

    key: str
    plan: FeaturePlan
    profile: Profile

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it; ``baseline_from_json`` reads it."""
        return {
            "format": FORMAT,
            "bins": [bins.to_json() for bins in self.plan.bins.values()],
            "segments": {name: list(levels) for name, levels in self.plan.segments.items()},
            "most": self.plan.most,
            "profile": [
                [list(astuple(subject)), histogram.to_json() if histogram is not None else None]
                for subject, histogram in self.profile.items()
            ],
        }


def baseline_from_json(key: str, document: Mapping[str, Any]) -> FeatureBaseline:
    """Return the baseline that ``FeatureBaseline.to_json`` gave.

    Raises:
        ValueError, KeyError, TypeError: it is of another format.
    """
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}")
    bins = {b.name: b for b in map(bins_from_json, document["bins"])}
    segments = {name: tuple(levels) for name, levels in document["segments"].items()}
    profile = {
        Subject(*subject): histogram_from_json(histogram) if histogram is not None else None
        for subject, histogram in document["profile"]
    }
    return FeatureBaseline(key, FeaturePlan(bins, segments, document["most"]), profile)


def frozen_baseline(
    key: str, rows: RowSource, is_number: Mapping[str, bool], settings: MonitorSettings
) -> FeatureBaseline:
    """Freeze the bins of features, and profile the baseline over them.

    rows: those of the baseline, with exposure and the features. is_number: by feature.
    """
    numbers = [name for name, number in is_number.items() if number]

    def weighed(batch: pa.RecordBatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        weight = as_doubles(batch.column(EXPOSURE))
        return {name: (as_doubles(batch.column(name)), weight) for name in numbers}

    spread = spreads(rows, [EXPOSURE, *numbers], numbers, weighed)
    bins = {
        name: first_bins(name, spread.get(name)) if number else ColumnBins(name)
        for name, number in is_number.items()
    }
    plan = FeaturePlan(bins, {}, settings.max_levels)
    profile = plan.profile(rows.aggregate(plan.columns, plan.state))
    for name in numbers:
        histogram = profile.get(Subject(name))
        if histogram is not None:
            bins[name], profile[Subject(name)] = frozen(bins[name], histogram, settings.bins)
    segments = {
        name: _largest(profile.get(Subject(name)), settings.max_slices)
        for name in settings.segments
        if name in bins
    }
    plan = FeaturePlan(bins, segments, settings.max_levels)
    if segments:
        profile = plan.profile(rows.aggregate(plan.columns, plan.state))
    return FeatureBaseline(key, plan, profile)


def _largest(histogram: Histogram | None, most: int) -> tuple[str, ...]:
    """Return the levels of most exposure, in the order of their names."""
    if histogram is None:
        return ()
    given: Sequence[int] = np.argsort(-histogram.weight, kind="stable").tolist()
    names = [histogram.bins[n] for n in given if histogram.bins[n] != MISSING_LEVEL]
    return tuple(sorted(names[:most]))
