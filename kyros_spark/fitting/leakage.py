"""Measure how much each feature explains alone: one that explains too much may leak the target.

One-way D2 = 1 - (D / (n - k)) / (D0 / (n - 1)), where D is the deviance if every group of the
feature has its own mean, D0 the deviance of a single mean, n the number of rows and k that of
groups. It is adjusted as R2 is, since many levels explain few rows by chance. The groups are the
feature's fitted levels, or for a number 20 groups of similar exposure, fewer if they would hold
less than 20 rows each.
Sums by group suffice. With Y = sum of w y, U = sum of w times unit, m = Y / U by group, D / 2 is
Poisson sum w y log(y / unit) - sum Y log m; Gamma sum U log m - sum w log y;
Tweedie of power p (sum w y^(2-p) - sum U m^(2-p)) / ((1-p)(2-p)).
Source: McCullagh and Nelder, Generalized Linear Models; Guisan and Zimmermann, 2000 (adjusted D2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings, TrainSettings
from kyros_spark.errors import LeakageError
from kyros_spark.fitting.quantiles import spreads
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.transforms.bins import bin_label
from kyros_spark.transforms.encode import MISSING_LEVEL, encoded

GROUPS, ROWS_PER_GROUP = 20, 20


@dataclass(frozen=True)
class _LeakageSums:
    """A group's totals: rows, Y (observed), U (units), and the fixed part of D / 2."""

    rows: int
    observed: float
    units: float
    fixed: float


def one_way_d2(
    rows: DataFrame, count: int, features: Sequence[Feature], settings: ModelSettings
) -> dict[str, float]:
    """Return each feature's one-way D2 on the rows; it needs more rows than groups.

    count: the number of rows. Features whose D2 is undefined are left out.
    """
    groups = _groups(rows, features, min(GROUPS, max(2, count // ROWS_PER_GROUP)))
    if not groups:
        return {}
    pairs = F.array(
        *(
            F.struct(F.lit(name).alias("name"), group.alias("level"))
            for name, group in groups.items()
        )
    )
    sums = (
        rows.select(
            F.explode(pairs).alias("pair"),
            (F.col(WEIGHT) * F.col(LABEL)).alias("observed"),
            (F.col(WEIGHT) * F.exp(OFFSET)).alias("units"),
            (F.col(WEIGHT) * _fixed(settings)).alias("fixed"),
        )
        .groupBy("pair.name", "pair.level")
        .agg(F.count(F.lit(1)).alias("rows"), *map(F.sum, ("observed", "units", "fixed")))
        .collect()
    )
    by_feature: dict[str, list[_LeakageSums]] = {}
    for name, _, *totals in sums:
        by_feature.setdefault(name, []).append(_LeakageSums(*totals))
    strengths = {name: _adjusted_d2(by_feature[name], settings) for name in groups}
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


def _groups(rows: DataFrame, features: Sequence[Feature], most: int) -> dict[str, Column]:
    """Return each feature's group as an expression; numbers that never vary have none."""
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    groups: dict[str, Column] = {}
    cuts = {name: spread.cuts(most) for name, spread in spreads(rows, numbers).items()}
    for feature in features:
        if feature.kind == "levels":
            groups[feature.name] = encoded(feature, impute=False).cast("string")
        elif cuts.get(feature.name):
            text = bin_label(F.col(feature.name), cuts[feature.name])
            groups[feature.name] = F.coalesce(text, F.lit(MISSING_LEVEL))
    return groups


def _fixed(settings: ModelSettings) -> Column:
    """Return the part of a row's deviance that does not depend on the mean, before its weight."""
    label = F.col(LABEL)
    if settings.family in ("poisson", "negative_binomial"):
        return F.when(label > 0, label * (F.log(label) - F.col(OFFSET))).otherwise(0.0)
    return (
        F.log(label) if settings.family == "gamma" else F.pow(label, 2 - settings.screening_power)
    )


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
    p = settings.screening_power
    terms = (group.units * mean ** (2 - p) for group, mean in pairs)
    return 2 * (fixed - math.fsum(terms)) / ((1 - p) * (2 - p))


def _adjusted_d2(groups: Sequence[_LeakageSums], settings: ModelSettings) -> float | None:
    """Return the feature's one-way D2; None where it is undefined."""
    columns = zip(*((g.rows, g.observed, g.units, g.fixed) for g in groups), strict=True)
    rows, *sums = (math.fsum(column) for column in columns)
    null = _deviance([_LeakageSums(int(rows), *sums)], settings)
    if rows <= len(groups) or not null > 0:  # NaN where a label has no deviance
        return None
    residual = _deviance(groups, settings)
    return 1 - (residual / (rows - len(groups))) / (null / (rows - 1))
