"""Fit the feature specification on the training part: levels by exposure, means for imputation."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.digest import digest
from kyros_spark.errors import TrainingDataError
from kyros_spark.model.manifest import Feature
from kyros_spark.transforms.definitions import definition_hash
from kyros_spark.transforms.encode import MISSING_LEVEL
from kyros_spark.transforms.exact import exact_sum


def fit_features(
    training: DataFrame, settings: PrepareSettings, names: Sequence[str], model: ModelSettings
) -> tuple[Feature, ...]:
    """Return the frozen features: the base level is the one of largest exposure, with code 0.

    Levels with less than ``min_level_share`` of the exposure, and those of least exposure beyond
    ``max_levels``, are left out and score as the base level: a level that a handful of rows hold
    may have no claim at all, and its coefficient then has no finite value.

    Raises:
        TrainingDataError: a feature has no value at all in the training part.
    """
    factors = [n for n in names if settings.features[n].kind != "numeric"]
    levels = _levels_by_exposure(training, factors, model.min_level_share)
    means = _means(training, [n for n in names if settings.features[n].kind == "numeric"])
    features = []
    for name in names:
        chosen = settings.features[name]
        if chosen.kind == "numeric":
            features.append(_numeric(name, means[name], definition_hash(chosen)))
            continue
        ordered = levels.get(name, [])[: model.max_levels]
        if chosen.base is not None:
            if chosen.base not in ordered:
                raise TrainingDataError(
                    f"feature {name}: expected base level '{chosen.base}' in the training part, "
                    f"found {', '.join(ordered[:10]) or 'none'}"
                )
            ordered = [chosen.base, *(level for level in ordered if level != chosen.base)]
        if not ordered:
            raise TrainingDataError(
                f"feature {name}: expected levels in the training part, found none"
            )
        features.append(
            Feature(
                name=name,
                kind="levels",
                levels=tuple(ordered),
                missing=MISSING_LEVEL if MISSING_LEVEL in ordered else None,
                definition_hash=definition_hash(chosen),
            )
        )
    return tuple(features)


def spec_hash(features: Sequence[Feature]) -> str:
    """Return the hash of a fitted feature specification: definitions, levels, means."""
    return digest([feature.model_dump(mode="json") for feature in features])


def _numeric(name: str, mean: float | None, definition: str) -> Feature:
    if mean is None:
        raise TrainingDataError(
            f"feature {name}: expected numbers in the training part, found none"
        )
    return Feature(name=name, kind="numeric", impute=mean, definition_hash=definition)


def _levels_by_exposure(
    training: DataFrame, names: Sequence[str], min_share: float
) -> dict[str, list[str]]:
    if not names:
        return {}
    pairs = F.array(
        *(
            F.struct(
                F.lit(n).alias("name"), F.coalesce(F.col(n), F.lit(MISSING_LEVEL)).alias("level")
            )
            for n in names
        )
    )
    sums = (
        training.select(F.explode(pairs).alias("pair"), "exposure")
        .groupBy("pair.name", "pair.level")
        .agg(exact_sum(F.col("exposure")).alias("exposure"))
        .orderBy("name", F.desc("exposure"), "level")
    )
    rows = sums.collect()
    # Every feature's levels add up to the whole exposure.
    least = min_share * sum(row["exposure"] for row in rows) / len(names)
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["exposure"] >= least:
            found.setdefault(row["name"], []).append(row["level"])
    return found


def _means(training: DataFrame, names: Sequence[str]) -> dict[str, float | None]:
    if not names:
        return {}
    sums = []
    for name in names:
        given = F.when(F.col(name).isNotNull(), F.col("exposure"))
        total = exact_sum(F.col(name) * F.col("exposure"))
        sums.append((total / exact_sum(given)).alias(name))
    row = training.agg(*sums).first()
    assert row is not None
    return {name: row[name] for name in names}
