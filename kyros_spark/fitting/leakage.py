"""Measure what each feature explains alone: one that explains too much may know the target.

One-way D2 = 1 - (D / (n - k)) / (D0 / (n - 1)): D the deviance where every group of the feature has
its own mean, D0 that of one mean, n rows, k groups; adjusted as R2 is, since many levels explain
few rows by chance. Groups are the feature's fitted levels; of a number 20 of like exposure, fewer
where they would hold less than 20 rows each.
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
    rows: int
    observed: float
    units: float
    fixed: float


def one_way_d2(
    rows: DataFrame, count: int, features: Sequence[Feature], settings: ModelSettings
) -> dict[str, float]:
    """Return each feature's one-way D2 on the rows; without more rows than groups it has none.

    count: how many rows there are.
    """
    groups = _groups(rows, features, min(GROUPS, max(2, count // ROWS_PER_GROUP)))
    if not groups:
        return {}
    pairs = F.array(
        *(F.struct(F.lit(n).alias("name"), group.alias("level")) for n, group in groups.items())
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
    for name, _, *told in sums:
        by_feature.setdefault(name, []).append(_LeakageSums(*told))
    found = {name: _adjusted(by_feature[name], settings) for name in groups}
    return {name: value for name, value in found.items() if value is not None}


def suspects(strengths: Mapping[str, float], settings: TrainSettings) -> list[str]:
    """Return the features that explain more alone than is plausible, the strongest first."""
    above = [name for name, d2 in strengths.items() if d2 > settings.max_one_way_d2]
    return sorted(above, key=lambda name: -strengths[name])


def check_leakage(model: str, strengths: Mapping[str, float], settings: TrainSettings) -> None:
    """Warn of features that explain too much alone, or refuse them where the settings say so.

    Raises:
        LeakageError: names the features and what they explain.
    """
    found = suspects(strengths, settings)
    if not found:
        return
    told = ", ".join(f"{name} ({strengths[name]:.3f})" for name in found)
    if settings.suspects == "fail":
        raise LeakageError(
            f"model {model}: expected each feature alone to explain at most "
            f"{settings.max_one_way_d2:g} of the training part's deviance, found {told}; does it "
            "know of the claims? Leave it out, tag it available_at_scoring: no, or raise "
            "train.max_one_way_d2"
        )
    event(f"model {model}: {told} explains suspiciously much alone; does it know of the claims?",
          level=30)  # fmt: skip


def _groups(rows: DataFrame, features: Sequence[Feature], most: int) -> dict[str, Column]:
    """Return what each feature's groups are told apart by; numbers that never vary have none."""
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    found: dict[str, Column] = {}
    cuts = {name: spread.cuts(most) for name, spread in spreads(rows, numbers).items()}
    for feature in features:
        if feature.kind == "levels":
            found[feature.name] = encoded(feature, impute=False).cast("string")
        elif cuts.get(feature.name):
            text = bin_label(F.col(feature.name), cuts[feature.name])
            found[feature.name] = F.coalesce(text, F.lit(MISSING_LEVEL))
    return found


def _fixed(settings: ModelSettings) -> Column:
    """Return the part of a row's deviance that no mean changes, before its weight."""
    label = F.col(LABEL)
    if settings.family in ("poisson", "negative_binomial"):
        return F.when(label > 0, label * (F.log(label) - F.col(OFFSET))).otherwise(0.0)
    return (
        F.log(label) if settings.family == "gamma" else F.pow(label, 2 - settings.screening_power)
    )


def _deviance(groups: Sequence[_LeakageSums], settings: ModelSettings) -> float:
    fixed = math.fsum(one.fixed for one in groups)
    # A group of recoveries may sum below zero; no family has a mean there, and the fit says so.
    means = [max(one.observed / one.units, 0.0) for one in groups]
    if settings.family in ("poisson", "negative_binomial"):
        told = (one.observed * math.log(m) for one, m in zip(groups, means, strict=True) if m > 0)
        return 2 * (fixed - math.fsum(told))
    if settings.family == "gamma":
        told = (one.units * math.log(m) for one, m in zip(groups, means, strict=True))
        return 2 * (math.fsum(told) - fixed)
    p = settings.screening_power
    told = (one.units * m ** (2 - p) for one, m in zip(groups, means, strict=True))
    return 2 * (fixed - math.fsum(told)) / ((1 - p) * (2 - p))


def _adjusted(groups: Sequence[_LeakageSums], settings: ModelSettings) -> float | None:
    columns = zip(*((g.rows, g.observed, g.units, g.fixed) for g in groups), strict=True)
    rows, *sums = (math.fsum(column) for column in columns)
    null = _deviance([_LeakageSums(int(rows), *sums)], settings)
    if rows <= len(groups) or not null > 0:  # not a number where a label has no deviance
        return None
    left = _deviance(groups, settings)
    return 1 - (left / (rows - len(groups))) / (null / (rows - 1))
