"""Hold the fits of a GLM's segments in its file: which coefficients each segment takes, and why.

A segment is a combination of levels of the manifest's `by` features, numbered by their codes. Code
0 stands for every level: a number whose last codes are 0 is that of a coarser segment, and number 0
is the parent, the pooled fit. S is the number of segments, R that of different sets of
coefficients, and a set has t terms: a constant, then the tables and slopes of all features but
`by`.

segment_key    int64[S], rising: the sum of code times stride
segment_row    int64[S]: the set of coefficients that a segment takes; set 0 is the parent's
segment_value  float64[R * t]: the constant, less the manifest's intercept, then `table_value`s
segment_error, segment_weight, segment_exposure, segment_observed, segment_count
               float64[R * t]: of each term the standard error (0 if none), the credibility, and
               the totals of its rows
segment_facts  float64[S * FACTS]: the columns of FACT_NAMES
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kyros_spark.model.manifest import OTHER_LEVEL, Feature, Manifest

PER_TERM = (
    "segment_value", "segment_error", "segment_weight", "segment_exposure", "segment_observed",
    "segment_count",
)  # fmt: skip
FACT_NAMES = (
    "reason", "rows", "exposure", "observed", "claims", "expected", "deviance", "null_deviance",
    "pearson", "dispersion", "iterations", "columns", "level_weight",
)  # fmt: skip
SEGMENT_DTYPES: dict[str, tuple[str, ...]] = {
    "table_value": ("float64",),
    "table_start": ("int64",),
    "segment_key": ("int64",),
    "segment_row": ("int64",),
    "segment_facts": ("float64",),
    **dict.fromkeys(PER_TERM, ("float64",)),
}
MOST_KEYS = 1 << 62


def key_feature(feature: Feature) -> Feature:
    """Return a feature with levels as a key of segments: code 0 is for every unseen level."""
    levels = [level for level in feature.levels if level not in (OTHER_LEVEL, feature.missing)]
    update = {
        "levels": (OTHER_LEVEL, *levels), "base_code": 0, "missing": None, "unseen": "other",
    }  # fmt: skip
    return feature.model_copy(update=update)


def key_strides(features: Sequence[Feature]) -> np.ndarray:
    """Return by what each key's code is multiplied, int64[keys]; the first varies slowest."""
    sizes = [len(feature.levels) for feature in features]
    return np.array([_product(sizes[n + 1 :]) for n in range(len(sizes))], np.int64)


def coarser(keys: np.ndarray, strides: np.ndarray, kept: int) -> np.ndarray:
    """Return the segments' numbers with all codes but the first `kept` set to 0, int64[n]."""
    if not kept:
        return np.zeros_like(keys)
    stride = strides[kept - 1]
    rounded: np.ndarray = keys // stride * stride
    return rounded


def rows_of_keys(
    keys: np.ndarray, strides: np.ndarray, known: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """Return the set of coefficients of each number, int64[n]: the finest that is known.

    keys: int64[n]; known, row: segment_key and segment_row
    """
    rows = np.zeros(keys.size, np.int64)
    left = np.arange(keys.size)
    for kept in range(strides.size, 0, -1):
        wanted = coarser(keys[left], strides, kept)
        at = np.minimum(np.searchsorted(known, wanted), max(known.size - 1, 0))
        is_known = (known[at] == wanted) & (wanted > 0) if known.size else np.zeros(left.size, bool)
        rows[left[is_known]] = row[at[is_known]]
        left = left[~is_known]
    return rows


def segments_fault(manifest: Manifest, arrays: dict[str, np.ndarray]) -> str | None:
    """Return what is wrong with the arrays of segments, or None."""
    features = manifest.features[len(manifest.features) - len(manifest.by) :]
    most = _product([len(feature.levels) for feature in features])
    key, row = arrays["segment_key"], arrays["segment_row"]
    terms = 1 + int(arrays["table_start"][len(manifest.features) - len(manifest.by)])
    sets = arrays["segment_value"].size // terms
    if most > MOST_KEYS:
        return f"segment_key: expected less than 2^62 combinations of levels, found {most}"
    if (key.size and (key[0] < 0 or key[-1] >= most)) or not (key[1:] > key[:-1]).all():
        return f"segment_key: expected rising numbers from 0 to {most - 1}, found others"
    if not sets or row.size != key.size or (row.size and not 0 <= row.min() <= row.max() < sets):
        return f"segment_row: expected one of {sets} sets per segment, found another"
    if arrays["segment_facts"].size != key.size * len(FACT_NAMES):
        return f"segment_facts: expected {len(FACT_NAMES)} per segment, found another number"
    for name in PER_TERM:
        if arrays[name].size != sets * terms or not np.isfinite(arrays[name]).all():
            return f"{name}: expected {sets * terms} finite values, found others"
    return None


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
