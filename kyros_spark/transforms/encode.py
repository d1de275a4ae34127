"""Encode prepared features as a model takes them: one code path for training and for scoring.

It is worded as SQL text, so that a SQL function can hold the same (stages/function.py); and a level
less costs two calls into the JVM less.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import Feature
from kyros_spark.tables.ddl import number_text, quoted, text
from kyros_spark.transforms.bins import bin_case

MISSING_LEVEL = "(missing)"


def encoded(feature: Feature, impute: bool) -> Column:
    """Return a level's code (int), or a number (double), as `encoded_sql` words it."""
    return F.expr(encoded_sql(feature, impute)).alias(feature.name)


def encoded_sql(feature: Feature, impute: bool) -> str:
    """Word a level's code (int), or a number (double), in SQL.

    An unseen level, and a missing one where training saw none, take the code of the base level or
    of '(other)', or become NULL, as the feature says (``unseen``). A missing number is NULL, or
    what stands for it where the model has that (``impute``).
    """
    if feature.kind == "numeric":
        value = quoted(feature.name)
        if impute and feature.impute is not None:
            value = f"coalesce({value}, {number_text(feature.impute)})"
        return f"CAST({value} AS DOUBLE)"
    if feature.unseen == "missing":
        return f"CAST({_code(feature)} AS DOUBLE)"  # NULL arrives as NaN
    return f"coalesce({_code(feature)}, {feature.unseen_code})"


def is_unseen(feature: Feature) -> Column:
    """Tell whether a row's level is one that the fitted specification does not hold."""
    return F.expr(f"{quoted(feature.name)} IS NOT NULL AND {_code(feature)} IS NULL")


def level_text(name: str, cuts: Sequence[float]) -> Column:
    """Return a row's level: the column's text, or the label of a number's bin."""
    return F.expr(_level(name, cuts))


def input_hash(names: Sequence[str]) -> Column:
    """Return a hash of the features a prediction is made from, as table prepared holds them."""
    marked = [part for name in names for part in (F.col(name).isNull(), F.col(name))]
    return F.xxhash64(*marked)


def _level(name: str, cuts: Sequence[float]) -> str:
    return bin_case(quoted(name), cuts) if cuts else quoted(name)


def _code(feature: Feature) -> str:
    pairs = ", ".join(f"{text(level)}, {code}" for code, level in enumerate(feature.levels))
    given = _level(feature.name, feature.cuts)
    if feature.unseen != "missing" or feature.missing is not None:
        given = f"coalesce({given}, {text(feature.missing or MISSING_LEVEL)})"
    return f"element_at(map({pairs}), {given})"
