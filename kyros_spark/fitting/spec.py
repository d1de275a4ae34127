"""Fit the feature specification on the training part: levels, cut points, imputed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.keyed_sums import Grouped, sums_of, whole
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.aggregates.spread import Spread, spreads
from kyros_spark.config import FeatureSettings, ModelSettings, PrepareSettings
from kyros_spark.digest import digest
from kyros_spark.errors import TrainingDataError
from kyros_spark.model.bin_labels import bin_labels
from kyros_spark.model.manifest import MISSING_LEVEL, OTHER_LEVEL, Feature
from kyros_spark.scoring.arrow_features import MISSING, as_doubles, is_null, levels_of
from kyros_spark.transforms.definitions import definition_hash

Levels = list[tuple[str, float]]  # levels with their exposure, the largest first


def fit_features(
    training: RowSource | DataFrame,
    settings: PrepareSettings,
    names: Sequence[str],
    model: ModelSettings,
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
    rows = rows_of(training)
    spread = exposure_spreads(
        rows, [n for n, f in chosen.items() if f.quantiles or f.impute == "median"]
    )
    cuts = {n: _cut_points(n, f.quantiles, spread) for n, f in chosen.items() if f.quantiles}
    levels, means = _levels_and_means(rows, names, numbers, cuts)
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


def exposure_spreads(rows: RowSource, names: Sequence[str]) -> dict[str, Spread]:
    """Return how exposure is spread over each number; numbers without a value are left out."""

    def weighed(batch: pa.RecordBatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        exposure = _exposure(batch)
        return {name: (as_doubles(batch.column(name)), exposure) for name in names}

    return spreads(rows, [*names, "exposure"], names, weighed)


def _levels_and_means(
    rows: RowSource,
    names: Sequence[str],
    numbers: Sequence[str],
    cuts: Mapping[str, Sequence[float]],
) -> tuple[dict[str, Levels], dict[str, float | None]]:
    """Return the levels of each feature that has some, and each number's exposure-weighted mean.

    The mean is None where a number has no value.
    """

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        exposure = _exposure(batch)
        for name in names:
            column = batch.column(name)
            if name in numbers:
                known = ~is_null(column)
                of_known = {
                    "exposure": np.where(known, exposure, 0.0),
                    "weighted": np.where(known, as_doubles(column) * exposure, 0.0),
                    "known": known.astype(np.float64),
                }
                yield whole(batch, name, of_known)
            else:
                levels, codes = levels_of(column, cuts.get(name, ()))
                codes = np.where(codes == MISSING, len(levels), codes)
                yield Grouped(name, [*levels, MISSING_LEVEL], codes, {"exposure": exposure})

    sums = sums_of(rows, [*names, "exposure"], ("exposure", "weighted", "known"), grouping)
    levels: dict[str, Levels] = {}
    means: dict[str, float | None] = {}
    for name in names:
        totals = sums.get(name, {})
        if name not in numbers:
            by_exposure = [(level, of_level["exposure"]) for level, of_level in totals.items()]
            levels[name] = sorted(by_exposure, key=lambda pair: (-pair[1], pair[0].encode()))
        elif totals and totals[""]["known"]:
            means[name] = totals[""]["weighted"] / totals[""]["exposure"]
        else:
            means[name] = None
    return levels, means


def _exposure(batch: pa.RecordBatch) -> np.ndarray:
    """Return the exposure, float64[n]; a row without one counts nothing."""
    column = batch.column("exposure")
    return np.where(is_null(column), 0.0, as_doubles(column))
