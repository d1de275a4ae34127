"""Fit the feature specification on the training part: levels, cut points, what is imputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import FeatureSettings, ModelSettings, PrepareSettings
from kyros_spark.digest import digest
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.quantiles import Spread, spreads
from kyros_spark.model.manifest import OTHER_LEVEL, Feature
from kyros_spark.transforms.bins import bin_labels
from kyros_spark.transforms.definitions import definition_hash
from kyros_spark.transforms.encode import MISSING_LEVEL, level_text
from kyros_spark.transforms.exact import exact_sum

Levels = list[tuple[str, float]]  # each with its exposure, the largest first


def fit_features(
    training: DataFrame, settings: PrepareSettings, names: Sequence[str], model: ModelSettings
) -> tuple[Feature, ...]:
    """Return the frozen features: the base level is the one of largest exposure.

    Codes follow the declared order of levels and the natural one of bins; without either the base
    level comes first and the others by exposure. Levels with less than ``min_level_share`` of the
    exposure, and those of least exposure beyond ``max_levels``, are left out and score as the base
    level, or together as a level of their own (``rare``): one that a handful of rows hold may have
    no claim at all, and its coefficient then has no finite value.

    Raises:
        TrainingDataError: a feature has no value at all in the training part.
    """
    chosen = {name: settings.features[name] for name in names}
    numbers = [name for name, feature in chosen.items() if feature.kind == "numeric"]
    spread = spreads(
        training, [n for n, f in chosen.items() if f.quantiles or f.impute == "median"]
    )
    cuts = {n: _cuts(n, f.quantiles, spread) for n, f in chosen.items() if f.quantiles}
    texts = {n: level_text(n, cuts.get(n, ())) for n in names if n not in numbers}
    levels = _levels_by_exposure(training, texts)
    means = _means(training, numbers)
    features = []
    for name, feature in chosen.items():
        if name in numbers:
            features.append(_numeric(name, feature, means[name], spread.get(name)))
        else:
            features.append(_levels(name, feature, cuts.get(name, ()), levels[name], model))
    return tuple(features)


def spec_hash(features: Sequence[Feature]) -> str:
    """Return the hash of a fitted feature specification: definitions, levels, cuts, means."""
    return digest([feature.model_dump(mode="json") for feature in features])


def _numeric(
    name: str, settings: FeatureSettings, mean: float | None, spread: Spread | None
) -> Feature:
    if mean is None:
        raise TrainingDataError(
            f"feature {name}: expected numbers in the training part, found none"
        )
    stands = mean if isinstance(settings.impute, str) else settings.impute
    if spread is not None:
        stands = spread.median()
    return Feature(
        name=name, kind="numeric", impute=stands, definition_hash=definition_hash(settings)
    )


def _cuts(name: str, groups: int, spread: Mapping[str, Spread]) -> tuple[float, ...]:
    found = spread[name].cuts(groups) if name in spread else ()
    if not found:
        raise TrainingDataError(
            f"feature {name}: expected different numbers to cut in the training part, found "
            f"{'one' if name in spread else 'none'}; leave it out"
        )
    return found


def _levels(
    name: str,
    settings: FeatureSettings,
    cuts: tuple[float, ...],
    found: Levels,
    model: ModelSettings,
) -> Feature:
    # Every feature's levels add up to the whole exposure.
    least = model.min_level_share * sum(exposure for _, exposure in found)
    kept = [level for level, exposure in found if exposure >= least][: model.max_levels]
    apart = settings.rare == "other"
    if apart:
        kept = [level for level in kept if level != OTHER_LEVEL]
    grouped = [OTHER_LEVEL] if apart and len(kept) < len(found) else []
    if not kept + grouped:
        raise TrainingDataError(f"feature {name}: expected levels in the training part, found none")
    base = settings.base if settings.base is not None else (kept + grouped)[0]
    if base not in kept + grouped:
        raise TrainingDataError(
            f"feature {name}: expected base level '{base}' in the training part, "
            f"found {', '.join(kept[:10]) or 'none'}"
        )
    natural = cuts or settings.bins
    first = settings.order or (bin_labels(natural) if natural else (base,))
    ordered = [level for level in first if level in kept]
    ordered += [level for level in kept if level not in first] + grouped
    return Feature(
        name=name,
        kind="levels",
        levels=tuple(ordered),
        base_code=ordered.index(base),
        cuts=cuts,
        missing=MISSING_LEVEL if MISSING_LEVEL in ordered else None,
        unseen="other" if grouped else "base",
        definition_hash=definition_hash(settings),
    )


def _levels_by_exposure(training: DataFrame, texts: Mapping[str, Column]) -> dict[str, Levels]:
    found: dict[str, Levels] = {name: [] for name in texts}
    if not texts:
        return found
    pairs = F.array(
        *(
            F.struct(
                F.lit(name).alias("name"), F.coalesce(text, F.lit(MISSING_LEVEL)).alias("level")
            )
            for name, text in texts.items()
        )
    )
    sums = (
        training.select(F.explode(pairs).alias("pair"), "exposure")
        .groupBy("pair.name", "pair.level")
        .agg(exact_sum(F.col("exposure")).alias("exposure"))
        .orderBy("name", F.desc("exposure"), "level")
    )
    for row in sums.collect():
        found[row["name"]].append((row["level"], row["exposure"]))
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
