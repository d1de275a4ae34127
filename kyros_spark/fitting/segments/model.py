"""Put the fits of a model's segments into its file, beside the pooled fit that is their parent."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.glm_fit import GlmFit
from kyros_spark.fitting.segments.columns import SegmentColumns, columns_of
from kyros_spark.fitting.segments.levels import (
    FittedLevel,
    Parents,
    fit_level,
    pearson_within,
    task_of,
)
from kyros_spark.fitting.segments.reasons import NO_KEY
from kyros_spark.fitting.segments.sources import segment_source
from kyros_spark.fitting.spec import spec_hash
from kyros_spark.log import event
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Feature
from kyros_spark.model.segments import key_strides


def with_segments(
    parent: Model,
    fit: GlmFit,
    train_part: RowSource,
    keys: Sequence[Feature],
    settings: ModelSettings,
) -> Model:
    """Return the model with a fit per segment, where a segment can carry one.

    keys: the features of `by`, as `fit_keys` makes them
    """
    assert fit.layout is not None, "segments belong to our own solver: see config/segments.py"
    features = parent.manifest.features
    columns = columns_of(fit.layout)
    family = Family(fit.power or 1.0, settings.glm.link, fit.theta)
    strides = key_strides(keys)
    pooled = columns.scaled(np.array([term.coefficient for term in fit.coefficients]))
    nothing = np.zeros(0, np.int64)
    parents = Parents(strides, nothing, nothing, pooled[None])
    task, within = task_of(columns, family, settings), pearson_within(fit.statistics or {})
    levels = []
    pooled_rows = None if fit.pooled is None else fit.pooled.rows
    with segment_source(train_part, fit.layout, features, keys, columns, pooled_rows) as source:
        for kept in range(1, len(keys) + 1):
            level = fit_level(source, parents, kept, task, settings, within)
            levels.append(level)
            parents = _with(parents, level)
    _tell(parent.manifest.name, levels, settings)
    arrays = dict(parent.arrays)
    key_levels = [len(key.levels) for key in keys]
    arrays["table_value"] = np.concatenate([arrays["table_value"], np.zeros(sum(key_levels))])
    ends = arrays["table_start"][-1] + np.cumsum(key_levels)
    arrays["table_start"] = np.concatenate([arrays["table_start"], ends]).astype(np.int64)
    arrays |= _arrays(columns, levels, parents, parent.arrays["table_value"])
    every = (*features, *keys)
    training = parent.manifest.training | {
        "between": _between(columns, levels, settings),
        "stability": _stability(columns, levels[-1], settings.glm.confidence),
    }
    changed = {
        "features": every, "by": settings.by, "feature_spec_hash": spec_hash(every),
        "training": training,
    }  # fmt: skip
    return Model(parent.manifest.model_copy(update=changed), arrays)


def _with(parents: Parents, level: FittedLevel) -> Parents:
    """Return what the next finer level begins with."""
    is_segment = level.fits.reason != NO_KEY
    rows = level.parent_row.copy()
    own = is_segment & level.has_own
    rows[own] = len(parents.sets) + np.arange(own.sum())
    keys = np.concatenate([parents.keys, level.numbers[is_segment]])
    order = np.argsort(keys, kind="stable")
    return Parents(
        parents.strides,
        keys[order],
        np.concatenate([parents.rows, rows[is_segment]])[order],
        np.concatenate([parents.sets, level.coefficients[own]]),
    )


def _arrays(
    columns: SegmentColumns,
    levels: Sequence[FittedLevel],
    parents: Parents,
    pooled: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the arrays of model/segments.py."""
    values = columns.outwards(parents.sets) @ columns.layout.unscaled().T
    values[:, 0] -= values[0, 0]
    values[0, 1:] = pooled  # to the last bit, as the parent scores
    own = [level.has_own & (level.fits.reason != NO_KEY) for level in levels]

    def by_term(of_level: Sequence[np.ndarray]) -> np.ndarray:
        parts = [array[chosen] for array, chosen in zip(of_level, own, strict=True)]
        stacked = columns.outwards(np.concatenate([np.zeros((1, columns.size)), *parts]))
        return np.nan_to_num(stacked).ravel()

    facts = np.concatenate([_facts(level)[level.fits.reason != NO_KEY] for level in levels])
    keys = np.concatenate([level.numbers[level.fits.reason != NO_KEY] for level in levels])
    return {
        "segment_key": parents.keys,
        "segment_row": parents.rows,
        "segment_value": np.ascontiguousarray(values).ravel(),
        "segment_error": by_term([level.error for level in levels]),
        "segment_weight": by_term([level.weight for level in levels]),
        "segment_exposure": by_term([level.fits.exposure for level in levels]),
        "segment_observed": by_term([level.fits.observed for level in levels]),
        "segment_count": by_term([level.fits.rows for level in levels]),
        "segment_facts": facts[np.argsort(keys, kind="stable")].ravel(),
    }


def _facts(level: FittedLevel) -> np.ndarray:
    """Return the columns of FACT_NAMES, float64[S, facts]."""
    fits = level.fits
    facts = np.column_stack(
        [
            fits.reason, fits.rows[:, 0], fits.exposure[:, 0], fits.observed[:, 0], fits.claims,
            fits.expected[:, 0], fits.deviance, fits.null_deviance, fits.pearson, fits.dispersion,
            fits.iterations, fits.active.sum(axis=1), level.weight[:, 0] * level.has_own,
        ]
    )  # fmt: skip
    return np.nan_to_num(facts)


def _between(
    columns: SegmentColumns, levels: Sequence[FittedLevel], settings: ModelSettings
) -> list[dict[str, float]]:
    """Return, for each level of `by`, the variance between segments of each term that has one."""
    if settings.credibility == "none":
        return []
    labels = [column.label for column in columns.layout.columns]
    return [
        {
            label: float(value)
            for label, value in zip(labels, columns.outwards(level.between[None])[0], strict=True)
            if value > 0
        }
        for level in levels
    ]


def _stability(
    columns: SegmentColumns, level: FittedLevel, confidence: float
) -> list[dict[str, float]]:
    """Return, for each term, how its own estimates vary over the finest segments.

    segments, their number; spread, the standard deviation of their coefficients;
    share_excluding_1, of those whose interval excludes 1, or 0 without a log link
    """
    values = columns.outwards(level.own.coefficients) @ columns.layout.unscaled().T
    errors = columns.outwards(level.own.errors)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2)
    terms = []
    for value, error in zip(values.T, errors.T, strict=True):
        own = value[error > 0]
        entry = {"segments": float(own.size)}
        if own.size:
            entry["share_excluding_1"] = float((np.abs(own) > reach * error[error > 0]).mean())
        if own.size > 1:
            entry["spread"] = float(own.std(ddof=1))
        terms.append(entry)
    return terms


def _tell(name: str, levels: Sequence[FittedLevel], settings: ModelSettings) -> None:
    for kept, level in enumerate(levels, 1):
        is_segment = level.fits.reason != NO_KEY
        fitted = int((level.fits.is_fitted & is_segment).sum())
        event(
            f"model {name}: {int(is_segment.sum())} segments by {', '.join(settings.by[:kept])}, "
            f"{fitted} fitted, the others take their parent's coefficients (table segments)"
        )
        without = int(level.fits.rows[~is_segment, 0].sum())
        if without:
            event(
                f"model {name}: {without} training rows have no {settings.by[kept - 1]}; they "
                "train its coarser segments alone, and such rows score by those",
                level=30,
            )
    if not any((level.fits.reason != NO_KEY).any() for level in levels):
        raise TrainingDataError(
            f"model {name}: expected rows with {', '.join(settings.by)} in the training part, "
            "found none"
        )
