"""Hold the sets of categories that trees split by: a bit a category, set when it goes right.

A split by categories asks whether a value is one of the set's categories. What a category is, of a
number, is the manifest's `category_rule`; what is none of the set's categories (negative, too
large, not whole) goes where the set says, a missing value where the split says.
"""

from dataclasses import dataclass

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError

MAX_CATEGORIES = 1 << 24  # float32 counts no further, and XGBoost takes no more
NO_SET = -1


@dataclass(frozen=True)
class CategorySets:
    """Sets as libraries store them: one a split, or shared.

    start        int64[sets + 1]: where each set's bytes begin in `bits`
    bits         uint8: category c of a set is bit c % 8 of its byte c // 8, 1 when it goes right
    other_right  uint8[sets]: 1 when what is none of these categories goes right
    """

    start: np.ndarray
    bits: np.ndarray
    other_right: np.ndarray


def sets_of(left_or_right: list[np.ndarray], listed_right: bool, other_right: bool) -> CategorySets:
    """Return sets from lists of categories, which go right or left; all others go elsewhere.

    Raises ModelFormatError for categories that are no numbers of the kind.
    """
    parts = []
    for number, categories in enumerate(left_or_right):
        if categories.size and (categories.min() < 0 or categories.max() >= MAX_CATEGORIES):
            raise ModelFormatError(f"category set {number}: a category is out of range")
        size = -(-(int(categories.max(initial=-1)) + 1) // 8) * 8
        bits = np.full(size, not listed_right)
        bits[categories] = listed_right
        parts.append(np.packbits(bits, bitorder="little"))
    return joined_sets(parts, [other_right] * len(parts))


def joined_sets(parts: list[np.ndarray], other_right: list[bool]) -> CategorySets:
    """Return sets from the bytes of each."""
    sizes = [part.size for part in parts]
    return CategorySets(
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        bits=np.concatenate([np.zeros(0, np.uint8), *parts]),
        other_right=np.array(other_right, np.uint8),
    )


def distinct_sets(
    sets: CategorySets, feature: np.ndarray, number: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Store equal sets of one feature once.

    feature, number  of each split by categories: its feature, and its set in `sets`
    Returns the model file's arrays, in order of features, and each split's set there.
    """
    if number.size and (number.min() < 0 or number.max() >= sets.other_right.size):
        raise ModelFormatError(f"a split asks for category set {number.max()}, there is none")
    used, which = np.unique(number, return_inverse=True)
    contents = [_content(sets, one) for one in used]
    keys = [(int(f), *contents[k]) for f, k in zip(feature, which, strict=True)]
    ordered = sorted(set(keys))
    places = {key: place for place, key in enumerate(ordered)}
    if any(8 * len(bits) > MAX_CATEGORIES for _, _, bits in ordered):
        raise ModelNotSupportedError(f"a category set of more than {MAX_CATEGORIES} categories")
    parts = [np.frombuffer(bits, np.uint8) for _, _, bits in ordered]
    joined = joined_sets(parts, [other for _, other, _ in ordered])
    arrays = {
        "set_feature": np.array([feature for feature, _, _ in ordered], np.int32),
        "set_start": joined.start,
        "set_bits": joined.bits,
        "set_other_right": joined.other_right,
    }
    return arrays, np.array([places[key] for key in keys], np.int64)


def _content(sets: CategorySets, number: int) -> tuple[bool, bytes]:
    """Return a set without the bytes at its end that only repeat where others go."""
    other = bool(sets.other_right[number])
    bits = sets.bits[sets.start[number] : sets.start[number + 1]].tobytes()
    return other, bits.rstrip(b"\xff" if other else b"\0")
