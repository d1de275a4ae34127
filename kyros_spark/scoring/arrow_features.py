"""Encode columns of Arrow batches as a model takes them, exactly as `transforms/encode.py`'s SQL.

A level is looked up once per different text of a batch, not once per row.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.model.bin_labels import bin_labels
from kyros_spark.model.manifest import MISSING_LEVEL, Feature

MISSING = -1  # the code of a row without a level or number


def encoded(feature: Feature, column: pa.Array, impute: bool) -> np.ndarray:
    """Return level codes, int32[n], or numbers, float64[n], with NaN where missing.

    column: the feature as table `prepared` holds it.
    An unseen level, or a missing one where training saw none missing, takes the code of the base
    level or of '(other)', or is missing (the codes are then float64), as the feature's ``unseen``
    says. A missing number is NaN, or with ``impute`` the feature's replacement if it has one.
    """
    if feature.kind == "numeric":
        numbers = as_doubles(column)
        if impute and feature.impute is not None and column.null_count:
            numbers = np.where(is_null(column), feature.impute, numbers)
        return numbers
    codes = _codes(feature, column)
    if feature.unseen == "missing":
        return np.where(codes == MISSING, np.nan, codes.astype(np.float64))
    return np.where(codes == MISSING, np.int32(feature.unseen_code), codes)


def is_unseen(feature: Feature, column: pa.Array) -> np.ndarray:
    """Return whether each row's level is absent from the fitted specification, bool[n]."""
    return (_codes(feature, column) == MISSING) & ~is_null(column)


def levels_of(column: pa.Array, cuts: Sequence[float]) -> tuple[list[str], np.ndarray]:
    """Return a batch's levels and each row's place among them, int64[n]; MISSING where it has none.

    The levels are the texts of the column, or with cuts the labels of a number's bins.
    """
    if cuts:
        return bin_labels(cuts), bins_of(column, cuts)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(pc.cast(column, pa.string()))
    indices = column.indices
    if indices.null_count:
        indices = pc.fill_null(indices, MISSING)
    texts = column.dictionary.to_pylist()
    return texts, indices.to_numpy(zero_copy_only=False).astype(np.int64)


def bins_of(column: pa.Array, cuts: Sequence[float]) -> np.ndarray:
    """Return the number of each row's left-closed bin, int64[n]; MISSING for NULL.

    NaN is above every number, as in Spark.
    """
    bins = np.searchsorted(np.array(cuts, np.float64), as_doubles(column), "right")
    return np.where(is_null(column), MISSING, bins)


def as_doubles(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return numbers as float64[n], each the nearest double; NaN for NULL."""
    if pa.types.is_decimal(column.type):  # Arrow's own cast may miss the last bit
        column = pc.cast(column, pa.string())
    if column.type != pa.float64():
        column = pc.cast(column, pa.float64(), safe=False)  # whole numbers above 2^53 are rounded
    if column.null_count:
        column = pc.fill_null(column, float("nan"))
    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def is_null(column: pa.Array) -> np.ndarray:
    """Return whether each value is NULL, bool[n]; NaN is not."""
    if not column.null_count:
        return np.zeros(len(column), bool)
    return column.is_null().to_numpy(zero_copy_only=False)


def _codes(feature: Feature, column: pa.Array) -> np.ndarray:
    """Return the code of each row's level, int32[n]; MISSING where it is none of the feature's."""
    code_of = {level: code for code, level in enumerate(feature.levels)}
    texts, places = levels_of(column, feature.cuts)
    of_missing = MISSING
    if feature.unseen != "missing" or feature.missing is not None:
        of_missing = code_of.get(feature.missing or MISSING_LEVEL, MISSING)
    codes = [code_of.get(text, MISSING) for text in texts]
    return np.array([*codes, of_missing], np.int32)[places]  # the last is for places below zero
