"""Fit the feature specification on the training part: levels, cut points, imputed values."""

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

Levels = list[tuple[str, float]]  # levels with their exposure, the largest first


def fit_features(
    training: DataFrame, settings: PrepareSettings, names: Sequence[str], model: ModelSettings
) -> tuple[Feature, ...]:
    """Return the frozen features; the base level is the one of largest exposure.

    Codes follow the declared order of levels and the natural order of bins. Without either, the
    base level comes first and the others follow by exposure. Levels with less than
    ``min_level_share`` of the exposure, and those of least exposure beyond ``max_levels``, are left
    out. They score as the base level, or together as a level of their own (``rare``). A level of a
    handful of rows may have no claims at all, and its coefficient then has no finite value.

    Raises:
        TrainingDataError: a feature has no value in the training part, or not its base level.
    """
    chosen = {name: settings.features[name] for name in names}
    numbers = [name for name, feature in chosen.items() if feature.kind == "numeric"]
    spread = spreads(
        training, [n for n, f in chosen.items() if f.quantiles or f.impute == "median"]
    )
    cuts = {n: _cut_points(n, f.quantiles, spread) for n, f in chosen.items() if f.quantiles}
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
    impute = mean if isinstance(settings.impute, str) else settings.impute
    if spread is not None:
        impute = spread.median()
    return Feature(
        name=name, kind="numeric", impute=impute, definition_hash=definition_hash(settings)
    )


def _cut_points(name: str, groups: int, spread: Mapping[str, Spread]) -> tuple[float, ...]:
    cuts = spread[name].cuts(groups) if name in spread else ()
    if not cuts:
        raise TrainingDataError(
            f"feature {name}: expected different numbers to cut in the training part, found "
            f"{'one' if name in spread else 'none'}; leave it out"
        )
    return cuts


def _levels(
    name: str,
    settings: FeatureSettings,
    cuts: tuple[float, ...],
    by_exposure: Levels,
    model: ModelSettings,
) -> Feature:
    # The levels of every feature add up to the total exposure.
    least = model.min_level_share * sum(exposure for _, exposure in by_exposure)
    levels = [level for level, exposure in by_exposure if exposure >= least][: model.max_levels]
    has_other = settings.rare == "other"
    if has_other:
        levels = [level for level in levels if level != OTHER_LEVEL]
    other = [OTHER_LEVEL] if has_other and len(levels) < len(by_exposure) else []
    if not levels + other:
        raise TrainingDataError(f"feature {name}: expected levels in the training part, found none")
    base = settings.base if settings.base is not None else (levels + other)[0]
    if base not in levels + other:
        raise TrainingDataError(
            f"feature {name}: expected base level '{base}' in the training part, "
            f"found {', '.join(levels[:10]) or 'none'}"
        )
    natural = cuts or settings.bins
    leading = settings.order or (bin_labels(natural) if natural else (base,))
    ordered = [level for level in leading if level in levels]
    ordered += [level for level in levels if level not in leading] + other
    return Feature(
        name=name,
        kind="levels",
        levels=tuple(ordered),
        base_code=ordered.index(base),
        cuts=cuts,
        missing=MISSING_LEVEL if MISSING_LEVEL in ordered else None,
        unseen="other" if other else "base",
        definition_hash=definition_hash(settings),
    )


def _levels_by_exposure(training: DataFrame, texts: Mapping[str, Column]) -> dict[str, Levels]:
    levels: dict[str, Levels] = {name: [] for name in texts}
    if not texts:
        return levels
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
        levels[row["name"]].append((row["level"], row["exposure"]))
    return levels


def _means(training: DataFrame, names: Sequence[str]) -> dict[str, float | None]:
    """Return each number's exposure-weighted mean; None where it has no value."""
    if not names:
        return {}
    sums = []
    for name in names:
        exposure = F.when(F.col(name).isNotNull(), F.col("exposure"))
        total = exact_sum(F.col(name) * F.col("exposure"))
        sums.append((total / exact_sum(exposure)).alias(name))
    row = training.agg(*sums).first()
    assert row is not None
    return {name: row[name] for name in names}
