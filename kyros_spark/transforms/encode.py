"""Encode prepared features as a model takes them: one code path for training and for scoring."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import Feature

BASE_CODE = 0
MISSING_LEVEL = "(missing)"


def encoded(feature: Feature, impute: bool) -> Column:
    """Return a level's code (int), or a number (double).

    An unseen level, and a missing one where training saw none, take the base level's code, or
    become NULL where the feature says so (``unseen``). A missing number is NULL, or the training
    part's mean where the model has one (``impute``).
    """
    if feature.kind == "numeric":
        value = F.col(feature.name)
        if impute and feature.impute is not None:
            value = F.coalesce(value, F.lit(feature.impute))
        return value.cast("double").alias(feature.name)
    if feature.unseen == "missing":
        return _code(feature).cast("double").alias(feature.name)  # NULL arrives as NaN
    return F.coalesce(_code(feature), F.lit(BASE_CODE)).cast("int").alias(feature.name)


def base_code(feature: Feature) -> int:
    """Return the code of a feature's base level, whose coefficient is zero in a linear model."""
    return BASE_CODE


def is_unseen(feature: Feature) -> Column:
    """Tell whether a row's level is one that training never saw."""
    return F.col(feature.name).isNotNull() & _code(feature).isNull()


def input_hash(names: Sequence[str]) -> Column:
    """Return a hash of the features a prediction is made from, as table prepared holds them."""
    marked = [part for name in names for part in (F.col(name).isNull(), F.col(name))]
    return F.xxhash64(*marked)


def _code(feature: Feature) -> Column:
    pairs = [F.lit(part) for code, level in enumerate(feature.levels) for part in (level, code)]
    given = F.col(feature.name)
    if feature.unseen == "base" or feature.missing is not None:
        given = F.coalesce(given, F.lit(feature.missing or MISSING_LEVEL))
    return F.element_at(F.create_map(*pairs), given)
