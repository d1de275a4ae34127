"""Encode prepared features as a model takes them, by one code path for training and scoring.

The encoding is SQL text, so that a SQL function can contain it (operations/sql_function.py). Text
also saves two calls into the JVM per level.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.manifest import MISSING_LEVEL, Feature
from kyros_spark.tables.ddl import number_text, quoted, text
from kyros_spark.transforms.bins import bin_case

__all__ = ["MISSING_LEVEL", "encoded", "encoded_sql", "input_hash", "is_unseen"]


def encoded(feature: Feature, impute: bool) -> Column:
    """Return a level's code (int) or a number (double), as `encoded_sql` writes it."""
    return F.expr(encoded_sql(feature, impute)).alias(feature.name)


def encoded_sql(feature: Feature, impute: bool) -> str:
    """Write a level's code (int) or a number (double) as SQL.

    An unseen level, or a missing one where training saw none missing, takes the code of the base
    level or of '(other)', or becomes NULL, as the feature's ``unseen`` says. A missing number is
    NULL, or with ``impute`` the feature's replacement if it has one.
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
    """Tell whether a row's level is absent from the fitted specification."""
    return F.expr(f"{quoted(feature.name)} IS NOT NULL AND {_code(feature)} IS NULL")


def input_hash(names: Sequence[str]) -> Column:
    """Return a hash of the features behind a prediction, as table `prepared` holds them."""
    marked = [part for name in names for part in (F.col(name).isNull(), F.col(name))]
    return F.xxhash64(*marked)


def _level(name: str, cuts: Sequence[float]) -> str:
    return bin_case(quoted(name), cuts) if cuts else quoted(name)


def _code(feature: Feature) -> str:
    pairs = ", ".join(f"{text(name)}, {code}" for code, name in enumerate(feature.levels))
    level = _level(feature.name, feature.cuts)
    if feature.unseen != "missing" or feature.missing is not None:
        level = f"coalesce({level}, {text(feature.missing or MISSING_LEVEL)})"
    return f"element_at(map({pairs}), {level})"
