"""Encode prepared features as a model takes them: one code path for training and for scoring."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import Feature
from kyros_spark.transforms.bins import bin_label

MISSING_LEVEL = "(missing)"


def encoded(feature: Feature, impute: bool) -> Column:
    """Return a level's code (int), or a number (double).

    An unseen level, and a missing one where training saw none, take the code of the base level or
    of '(other)', or become NULL, as the feature says (``unseen``). A missing number is NULL, or
    what stands for it where the model has that (``impute``).
    """
    if feature.kind == "numeric":
        value = F.col(feature.name)
        if impute and feature.impute is not None:
            value = F.coalesce(value, F.lit(feature.impute))
        return value.cast("double").alias(feature.name)
    if feature.unseen == "missing":
        return _code(feature).cast("double").alias(feature.name)  # NULL arrives as NaN
    return F.coalesce(_code(feature), F.lit(feature.unseen_code)).cast("int").alias(feature.name)


def is_unseen(feature: Feature) -> Column:
    """Tell whether a row's level is one that the fitted specification does not hold."""
    return F.col(feature.name).isNotNull() & _code(feature).isNull()


def level_text(name: str, cuts: Sequence[float]) -> Column:
    """Return a row's level: the column's text, or the label of a number's bin."""
    return bin_label(F.col(name), cuts) if cuts else F.col(name)


def input_hash(names: Sequence[str]) -> Column:
    """Return a hash of the features a prediction is made from, as table prepared holds them."""
    marked = [part for name in names for part in (F.col(name).isNull(), F.col(name))]
    return F.xxhash64(*marked)


def _code(feature: Feature) -> Column:
    pairs = [F.lit(part) for code, level in enumerate(feature.levels) for part in (level, code)]
    given = level_text(feature.name, feature.cuts)
    if feature.unseen != "missing" or feature.missing is not None:
        given = F.coalesce(given, F.lit(feature.missing or MISSING_LEVEL))
    return F.element_at(F.create_map(*pairs), given)
