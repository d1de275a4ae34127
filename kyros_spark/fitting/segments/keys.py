"""Fit the keys of segments: the features of `by`, with every level that training holds."""

from __future__ import annotations

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.spec import fit_features
from kyros_spark.model.manifest import Feature
from kyros_spark.model.segments import MOST_KEYS, key_feature

MAX_LEVELS = 200_000  # of a key: its levels are in the file's header


def fit_keys(
    name: str, training: RowSource, features: PrepareSettings, settings: ModelSettings
) -> tuple[Feature, ...]:
    """Return the features of `by`; the first code of each stands for levels that are not known.

    Raises:
        TrainingDataError: a key has more levels than a model file can hold.
    """
    every = settings.model_copy(update={"max_levels": 1 << 31, "min_level_share": 0.0})
    keys = tuple(map(key_feature, fit_features(training, features, settings.by, every)))
    for key in keys:
        if len(key.levels) > MAX_LEVELS:
            raise TrainingDataError(
                f"model {name}: expected at most {MAX_LEVELS} levels of a segment's key, found "
                f"{len(key.levels) - 1} of {key.name}; name a coarser feature in "
                f"train.models.{name}.by"
            )
    combinations = 1
    for key in keys:
        combinations *= len(key.levels)
    if combinations > MOST_KEYS:
        raise TrainingDataError(
            f"model {name}: expected less than 2^62 combinations of levels, found "
            f"{combinations:g}; name fewer features in train.models.{name}.by"
        )
    return keys
