"""Measure how much each feature explains alone: one that explains too much may leak the target.

One-way D2 = 1 - (D / (n - k)) / (D0 / (n - 1)), where D is the deviance if every group of the
feature has its own mean, D0 the deviance of a single mean, n the number of rows and k that of
groups. It is adjusted as R2 is, since many levels explain few rows by chance. The groups are the
feature's fitted levels, or for a number 20 groups of similar exposure, fewer if they would hold
less than 20 rows each.
Sums by group suffice. With Y = sum of w y, U = sum of w times unit, m = Y / U by group, D / 2 is
Poisson sum w y log(y / unit) - sum Y log m; Gamma sum U log m - sum w log y;
Tweedie of power p (sum w y^(2-p) - sum U m^(2-p)) / ((1-p)(2-p));
binomial sum w (y log y + (1 - y) log(1 - y)) - sum (Y log m + (U - Y) log(1 - m)).
Source: McCullagh and Nelder, Generalized Linear Models; Guisan and Zimmermann, 2000 (adjusted D2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, sums_of
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.config import ModelSettings, TrainSettings
from kyros_spark.errors import LeakageError
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, unit_of
from kyros_spark.fitting.spec import exposure_spreads
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.scoring.arrow_features import MISSING, as_doubles, bins_of, encoded

GROUPS, ROWS_PER_GROUP = 20, 20


@dataclass(frozen=True)
class _LeakageSums:
    """A group's totals: rows, Y (observed), U (units), and the fixed part of D / 2."""

    rows: int
    observed: float
    units: float
    fixed: float


def one_way_d2(
    training: RowSource | DataFrame,
    count: int,
    features: Sequence[Feature],
    settings: ModelSettings,
) -> dict[str, float]:
    """Return each feature's one-way D2 on the rows; it needs more rows than groups.

    count: the number of rows. Features whose D2 is undefined are left out.
    """
    rows = rows_of(training)
    cuts = _cuts(rows, features, min(GROUPS, max(2, count // ROWS_PER_GROUP)))
    grouped = [f for f in features if f.kind == "levels" or f.name in cuts]
    if not grouped:
        return {}

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        measures = _measures(batch, settings)
        for feature in grouped:
            column = batch.column(feature.name)
            if feature.kind == "levels":
                codes = encoded(feature, column, impute=False)
                # The last group is of the rows without a level or number.
                codes, last = np.nan_to_num(codes, nan=len(feature.levels)), len(feature.levels)
            else:
                of_feature = cuts[feature.name]
                codes, last = bins_of(column, of_feature), len(of_feature) + 1
                missing = (codes == MISSING) | np.isnan(as_doubles(column))
                codes = np.where(missing, last, codes)
            levels = list(map(str, range(last + 1)))
            yield Grouped(feature.name, levels, codes.astype(np.int64), measures)

    names = ("observed", "units", "fixed")
    columns = [*(f.name for f in grouped), LABEL, WEIGHT, OFFSET]
    sums = sums_of(rows, columns, names, grouping)
    strengths = {}
    for feature in grouped:
        of_level = sums.get(feature.name, {}).values()
        groups = [_LeakageSums(int(t[ROWS]), *(t[name] for name in names)) for t in of_level]
        strengths[feature.name] = _adjusted_d2(groups, settings) if groups else None
    return {name: d2 for name, d2 in strengths.items() if d2 is not None}


def suspects(strengths: Mapping[str, float], settings: TrainSettings) -> list[str]:
    """Return the features that explain implausibly much alone, the strongest first."""
    above = [name for name, d2 in strengths.items() if d2 > settings.max_one_way_d2]
    return sorted(above, key=lambda name: -strengths[name])


def check_leakage(model: str, strengths: Mapping[str, float], settings: TrainSettings) -> None:
    """Warn of features that explain too much alone, or refuse them if the settings say so.

    Raises:
        LeakageError: names the features and how much they explain.
    """
    names = suspects(strengths, settings)
    if not names:
        return
    listed = ", ".join(f"{name} ({strengths[name]:.3f})" for name in names)
    if settings.suspects == "fail":
        raise LeakageError(
            f"model {model}: expected each feature alone to explain at most "
            f"{settings.max_one_way_d2:g} of the training part's deviance, found {listed}; does it "
            "know of the claims? Leave it out, tag it available_at_scoring: no, or raise "
            "train.max_one_way_d2"
        )
    event(f"model {model}: {listed} explains suspiciously much alone; does it know of the claims?",
          level=30)  # fmt: skip


def _cuts(rows: RowSource, features: Sequence[Feature], most: int) -> dict[str, tuple[float, ...]]:
    """Return the cuts of each number into groups; numbers that never vary have none."""
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    spreads = exposure_spreads(rows, numbers)
    cuts = {name: spread.cuts(most) for name, spread in spreads.items()}
    return {name: of_name for name, of_name in cuts.items() if of_name}


def _measures(batch: pa.RecordBatch, settings: ModelSettings) -> dict[str, np.ndarray]:
    """Return observed, units, and the part of the deviance that does not depend on the mean."""
    label, weight, offset = (as_doubles(batch.column(n)) for n in (LABEL, WEIGHT, OFFSET))
    with np.errstate(divide="ignore", invalid="ignore"):
        if settings.family in ("poisson", "negative_binomial"):
            fixed = np.where(label > 0, label * (np.log(label) - offset), 0.0)
        elif settings.family == "gamma":
            fixed = np.log(label)
        elif settings.family == "binomial":
            fixed = np.where(label > 0, label * np.log(label), 0.0)
            fixed += np.where(label < 1, (1 - label) * np.log1p(-label), 0.0)
        else:
            fixed = np.power(label, 2 - settings.screening_power)
    return {
        "observed": weight * label,
        "units": weight * unit_of(batch),
        "fixed": weight * fixed,
    }


def _deviance(groups: Sequence[_LeakageSums], settings: ModelSettings) -> float:
    """Return the deviance if every group has its own mean."""
    fixed = math.fsum(group.fixed for group in groups)
    # A group of recoveries may sum below zero, where no family has a mean; the fit reports that.
    means = [max(group.observed / group.units, 0.0) for group in groups]
    pairs = list(zip(groups, means, strict=True))
    if settings.family in ("poisson", "negative_binomial"):
        terms = (group.observed * math.log(mean) for group, mean in pairs if mean > 0)
        return 2 * (fixed - math.fsum(terms))
    if settings.family == "gamma":
        terms = (group.units * math.log(mean) for group, mean in pairs)
        return 2 * (math.fsum(terms) - fixed)
    if settings.family == "binomial":
        logs = [_times_log(g.observed, m) + _times_log(g.units - g.observed, 1 - m)
                for g, m in pairs]  # fmt: skip
        return 2 * (fixed - math.fsum(logs))
    p = settings.screening_power
    terms = (group.units * mean ** (2 - p) for group, mean in pairs)
    return 2 * (fixed - math.fsum(terms)) / ((1 - p) * (2 - p))


def _times_log(factor: float, mean: float) -> float:
    """Return factor * log(mean), which is 0 where the mean is."""
    return factor * math.log(mean) if mean > 0 else 0.0


def _adjusted_d2(groups: Sequence[_LeakageSums], settings: ModelSettings) -> float | None:
    """Return the feature's one-way D2; None where it is undefined."""
    columns = zip(*((g.rows, g.observed, g.units, g.fixed) for g in groups), strict=True)
    rows, *sums = (math.fsum(column) for column in columns)
    null = _deviance([_LeakageSums(int(rows), *sums)], settings)
    if rows <= len(groups) or not null > 0:  # NaN where a label has no deviance
        return None
    residual = _deviance(groups, settings)
    return 1 - (residual / (rows - len(groups))) / (null / (rows - 1))
