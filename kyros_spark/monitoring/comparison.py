"""Compare a column of a batch with the same column before: every measure, or why it is absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kyros_spark.model.manifest import MISSING_LEVEL
from kyros_spark.monitoring import chance, distances
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.histogram import Histogram, aligned

NAMED_LEVELS = 20  # of the new levels of a column
NO_ROWS, NO_VALUES = "no exposure in this batch", "no value on one side"
NO_BASELINE_ROWS = "no exposure on the side that it is compared with"
OF_NUMBERS, OF_LEVELS = "a measure of numbers", "a measure of levels"
GIVEN_UP = "more levels than monitor.max_levels"

# The measures of two histograms, each a column of table drift.
MEASURES = (
    "count_delta", "avg_delta", "percent_null_delta", "population_stability_index", "js_distance",
    "wasserstein_distance", "tv_distance", "l_infinity_distance", "ks_test", "chi_squared_test",
    "unseen_share", "outside_share", "psi_by_chance",
)  # fmt: skip


@dataclass
class Comparison:
    """What comparing two histograms gives.

    values      the measures that are known; a test is {"statistic", "pvalue"}
    absent      the reason for each that is not
    p_values    how often chance gives what was found, by kind: psi, test, missing, unseen, outside
    new_levels  the levels that the other side lacks, the largest first
    """

    values: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    p_values: dict[str, float] = field(default_factory=dict)
    new_levels: tuple[str, ...] = ()

    def put(self, name: str, value: Any) -> None:
        """Keep a measure; what is no finite number is absent, since NaN would silence an alert."""
        numbers = value.values() if isinstance(value, Mapping) else (value,)
        if all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            self.values[name] = value
        else:
            self.absent[name] = "not a finite number"


def compared(bins: ColumnBins, current: Histogram | None, baseline: Histogram | None) -> Comparison:
    """Return the measures of a column of a batch against those of another."""
    result = Comparison()
    reason = ""
    if current is None or baseline is None:
        reason = GIVEN_UP
    elif not current.effective_rows:
        reason = NO_ROWS
    elif not baseline.effective_rows:
        reason = NO_BASELINE_ROWS
    if reason or current is None or baseline is None:
        result.absent = dict.fromkeys(MEASURES, reason)
        return result
    result.put("count_delta", current.row_count - baseline.row_count)
    _missing(result, current, baseline)
    pair = aligned(*(bins.coarsened(side) for side in (current, baseline)))
    _all_rows(result, *pair)
    if bins.is_number:
        fine = (bins.full(current).given, bins.full(baseline).given)
        _numbers(result, *fine, outside=bins.outside(current))
    else:
        _levels(result, *pair)
    return result


def _missing(result: Comparison, current: Histogram, baseline: Histogram) -> None:
    now, before = current.missing_share, baseline.missing_share
    if now is not None and before is not None:
        result.put("percent_null_delta", 100 * (now - before))
        sizes = current.effective_rows, baseline.effective_rows
        result.p_values["missing"] = chance.share_p_value(now, sizes[0], before, sizes[1])


def _all_rows(result: Comparison, current: Histogram, baseline: Histogram) -> None:
    """Put what counts a missing value as a bin of its own."""
    pooled = chance.pooled(current, baseline)
    index = distances.stability_index(*pooled)
    result.put("population_stability_index", index)
    result.put("psi_by_chance", chance.chance_of_index(*pooled))
    result.p_values["psi"] = chance.index_p_value(index, *pooled)
    result.put("js_distance", distances.jensen_shannon(current, baseline))
    result.put("tv_distance", distances.total_variation(current, baseline))
    result.put("l_infinity_distance", distances.largest_difference(current, baseline))


def _numbers(
    result: Comparison, current: Histogram, baseline: Histogram, outside: float | None
) -> None:
    result.absent |= dict.fromkeys(("chi_squared_test", "unseen_share"), OF_LEVELS)
    if not current.effective_rows or not baseline.effective_rows:
        names = ("avg_delta", "wasserstein_distance", "ks_test", "outside_share")
        result.absent |= dict.fromkeys(names, NO_VALUES)
        return
    result.put("avg_delta", (current.mean or 0.0) - (baseline.mean or 0.0))
    result.put("wasserstein_distance", distances.wasserstein(current, baseline))
    distance = distances.kolmogorov_smirnov(current, baseline)
    p_value = chance.smirnov_p_value(distance, current, baseline)
    result.p_values["test"] = p_value
    result.put("ks_test", {"statistic": distance, "pvalue": p_value})
    if outside is None:
        result.absent["outside_share"] = "not measured within a segment"
    else:
        result.put("outside_share", outside)
        # Of rows of one distribution, 2 of m + 1 lie beyond the ends of m others.
        by_chance = 2 / (baseline.effective_rows + 1)
        result.p_values["outside"] = _excess(outside, by_chance, current, baseline)


def _levels(result: Comparison, current: Histogram, baseline: Histogram) -> None:
    result.absent |= dict.fromkeys(
        ("avg_delta", "wasserstein_distance", "ks_test", "outside_share"), OF_NUMBERS
    )
    statistic, p_value, _ = chance.chi_square(current, baseline)
    result.p_values["test"] = p_value
    result.put("chi_squared_test", {"statistic": statistic, "pvalue": p_value})
    is_new = (current.rows > 0) & (baseline.rows == 0)
    sizes = {
        name: weight
        for name, new, weight in zip(current.bins, is_new, current.weight, strict=True)
        if new and name != MISSING_LEVEL
    }
    share = sum(sizes.values()) / float(current.weight.sum())
    result.put("unseen_share", share)
    # Levels that nobody has seen have the share of those seen once (Good, Biometrika 40, 1953).
    by_chance = np.count_nonzero(baseline.rows == 1) / max(baseline.row_count, 1)
    result.p_values["unseen"] = _excess(share, by_chance, current, baseline)
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))
    result.new_levels = tuple(largest[:NAMED_LEVELS])


def _excess(share: float, by_chance: float, current: Histogram, baseline: Histogram) -> float:
    """Return how often a share so far above that by chance occurs; 1 where it is not above."""
    if share <= by_chance:
        return 1.0
    sizes = current.effective_rows, baseline.effective_rows
    return chance.share_p_value(share, sizes[0], by_chance, sizes[1])
